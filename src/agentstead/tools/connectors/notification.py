"""Channels to people as tools: Slack, e-mail, a signed webhook; others through Apprise where installed.

Promises: a message is sent once per call; receivers that can tell get the call's key (the id of a
webhook, the Message-ID of a mail); what a declaration leaves out is the operator's default, and where
there is none the declaration is refused by the name of the setting.
"""

import string
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, StringConstraints

from agentstead.errors import Invalid
from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.connectors.connector import (
    Connector,
    ConnectorCall,
    ConnectorTool,
    Declared,
    Means,
)
from agentstead.tools.connectors.sender import Message, Sender
from agentstead.tools.connectors.senders import SENDERS
from agentstead.tools.tool import Effect
from agentstead.wire.shape import Shape, Text, printable

MESSAGE_CHARACTERS_MAX = 20_000
FIELD_NAME = r"[a-z][a-z0-9_]{0,31}"


def _template(text: str) -> str:
    names = fields(text)
    if "message" not in names:
        raise ValueError("Must hold {message}")
    for name in names:
        if not name.isidentifier() or not name.islower():
            raise ValueError(
                f"{{{name}}} must be the plain name of a field; write {{{{ for a brace"
            )
    return text


def fields(template: str) -> list[str]:
    """The names in a template, each once; ValueError."""
    found: dict[str, None] = {}
    for _, name, form, conversion in string.Formatter().parse(template):
        if name is not None:
            if form or conversion:
                raise ValueError(f"{{{name}}} takes no format")
            found[name] = None
    return list(found)


class NotificationConfig(Shape):
    """A channel."""

    type: Literal["notification"]
    channel: Annotated[
        str, StringConstraints(min_length=1, max_length=256), AfterValidator(printable)
    ]
    """`#channel` of Slack, an address of e-mail (several with commas), or a word for a webhook."""
    via: Literal["slack", "email", "webhook", "apprise"] = "slack"
    url: Annotated[Text, StringConstraints(min_length=1, max_length=2048)] | None = None
    """A secret: Slack's webhook, `smtps://user:password@host/?from=me@example.com`, or where a webhook is
    received. None: the operator's default."""
    credential: Annotated[str, StringConstraints(min_length=1, max_length=8192)] | None = None
    """A secret: a bot token of Slack, or the key that webhooks are signed with."""
    template: (
        Annotated[Text, StringConstraints(max_length=4000), AfterValidator(_template)] | None
    ) = None
    """Words around `{message}`; other fields in braces become fields of the tool."""


class Notification:
    """The kind."""

    name: ClassVar[str] = "notification"
    config: ClassVar[type[Shape]] = NotificationConfig
    effects: ClassVar[tuple[Effect, ...]] = (Effect.SEND,)

    def divided(
        self, given: Mapping[str, Any], means: Means
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Settings and secrets; checked with the operator's defaults."""
        config, secrets = {"via": "slack", **given}, {}
        for name in ("url", "credential"):
            value = config.pop(name, None)
            if value is not None:
                secrets[name] = value
        sender(config, secrets, means)
        return config, secrets

    def open(self, declared: Declared, means: Means) -> Connector:
        """The connector."""
        return Channel(declared, sender(declared.config, declared.secrets, means))


def sender(config: Mapping[str, Any], secrets: Mapping[str, str], means: Means) -> Sender:
    """Whoever sends; Invalid."""
    via = str(config["via"])
    given = dict(secrets)
    if not given:
        given = {
            name: value
            for name in ("url", "credential")
            if (value := means.defaults.get(f"notify_{via}_{name}"))
        }
    if not given:
        raise Invalid(
            f"config.url: It is not given, and the operator has set no AGENTSTEAD_NOTIFY_{via.upper()}_URL."
        )
    return SENDERS[via](str(config["channel"]), given, means)


class Channel:
    """One channel."""

    def __init__(self, declared: Declared, sends: Sender) -> None:
        self.declared = declared
        self.sends = sends
        self.template = str(declared.config.get("template") or "{message}")

    @property
    def tools(self) -> Sequence[ConnectorTool]:
        """The one to send with."""
        text = {"type": "string", "minLength": 1, "maxLength": MESSAGE_CHARACTERS_MAX}
        names = fields(self.template)
        properties = {
            name: {**text, "description": f"{{{name}}} of the template."} for name in names
        }
        properties["message"] = {**text, "description": "What to say."}
        optional = {"subject": {"type": "string", "maxLength": 250, "description": "Of an e-mail."}}
        words = f"Send a message to {self.declared.config['channel']} by {self.sends.title}."
        schema = {
            "type": "object",
            "properties": properties | (optional if self.sends.has_subject else {}),
            "required": names,
            "additionalProperties": False,
        }
        name = f"{self.declared.name}_send"
        return [ConnectorTool(name, words, schema, Effect.SEND, self.sends.keyed)]

    async def call(self, call: ConnectorCall) -> Outcome:
        """Send it."""
        given = {name: str(call.input[name]) for name in fields(self.template)}
        message = Message(
            key=call.key,
            subject=str(call.input.get("subject") or self.declared.name),
            text=self.template.format_map(given),
            session_id=call.session_id,
        )
        return Outcome.text(await self.sends.send(message))

    async def check(self) -> None:
        """Ask the receiver, where that can be done without sending."""
        await self.sends.check()

    async def close(self) -> None:
        """Close the connections."""
        await self.sends.close()
