"""The hundred other services, by Apprise: an extra that is installed, and allowed by the operator.

Apprise connects by itself, to addresses that nobody checks, so it is off unless the operator says
otherwise (`AGENTSTEAD_CONNECTOR_APPRISE`).
"""

import asyncio
import importlib
from collections.abc import Mapping
from typing import Any

from agentstead.errors import ConnectorFault, Invalid
from agentstead.tools.connectors.connector import Means
from agentstead.tools.connectors.sender import Message

ALLOWED = "connector_apprise"


class Apprise:
    """One address of Apprise's."""

    title, has_subject, keyed = "Apprise", True, False

    def __init__(self, channel: str, secrets: Mapping[str, str], means: Means) -> None:  # noqa: ARG002
        if not means.defaults.get(ALLOWED):
            raise Invalid(
                "config.via: Apprise connects where it likes, so the operator has to allow it: "
                "AGENTSTEAD_CONNECTOR_APPRISE=true."
            )
        try:
            apprise: Any = importlib.import_module("apprise")
        except ImportError:
            raise Invalid(
                'config.via: Apprise is not installed on this server: pip install "agentstead[apprise]".'
            ) from None
        self.sends: Any = apprise.Apprise()
        if not self.sends.add(secrets.get("url", "")):
            raise Invalid("config.url: Apprise does not know such an address.")

    async def send(self, message: Message) -> str:
        """Hand it to Apprise."""
        done = await asyncio.to_thread(self.sends.notify, body=message.text, title=message.subject)
        if not done:
            raise ConnectorFault(
                "Apprise could not send it, and does not say how far it came.", kind="cut"
            )
        return "Sent."

    async def check(self) -> None:
        """Apprise cannot be asked."""

    async def close(self) -> None:
        """Nothing is held."""
