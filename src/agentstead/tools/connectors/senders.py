"""How messages leave: by Slack, e-mail, a signed webhook, or Apprise."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from agentstead.clock import Clock
from agentstead.errors import ConnectorFault, Invalid
from agentstead.tools.connectors.connector import Means
from agentstead.tools.connectors.http import Http, Request, fault_of
from agentstead.tools.connectors.mail import Mail
from agentstead.tools.connectors.sender import Message, Sender

SLACK = "https://slack.com/api"
SIGNED_BYTES_MIN = 24


class Slack:
    """By an incoming webhook, or as a bot."""

    title, has_subject, keyed = "Slack", False, False

    def __init__(self, channel: str, secrets: Mapping[str, str], means: Means) -> None:
        self.channel = channel
        self.token = secrets.get("credential")
        url = secrets.get("url") or SLACK
        self.url = address(url if self.token is None else url.rstrip("/") + "/")
        self.http = Http(self.url.host, means.targets, means.clock)
        self.clock = means.clock

    async def send(self, message: Message) -> str:
        """Post it."""
        body = {"channel": self.channel, "text": message.text}
        if self.token is None:
            await self.http.done(Request("POST", self.url, body=body))
            return "Sent."
        said = await self._ask("chat.postMessage", body)
        return f"Sent: {said.get('channel')} {said.get('ts')}."

    async def check(self) -> None:
        """Whether the token is good; a webhook cannot be asked."""
        if self.token is not None:
            await self._ask("auth.test", {})

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()

    async def _ask(self, method: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        headers = {"authorization": f"Bearer {self.token}"}
        answer = await self.http.done(
            Request("POST", self.url.join(method), headers, body=dict(body))
        )
        try:
            said = json.loads(answer.body)
        except ValueError:
            raise ConnectorFault("Slack answered no JSON.", kind="cut") from None
        if not said.get("ok"):
            error = str(said.get("error"))
            kind = "auth" if "auth" in error or "token" in error else "refused"
            raise ConnectorFault(
                f"Slack: {error}", kind="rate_limited" if error == "ratelimited" else kind
            )
        return dict(said)


class Webhook:
    """JSON to any address, signed as Standard Webhooks have it."""

    title, has_subject, keyed = "webhook", False, True

    def __init__(self, channel: str, secrets: Mapping[str, str], means: Means) -> None:
        if "url" not in secrets:
            raise Invalid("config.url: A webhook needs one.")
        self.channel = channel
        self.url = address(secrets["url"])
        self.key = signing_key(secrets.get("credential"))
        self.http = Http(self.url.host, means.targets, means.clock)
        self.clock = means.clock

    async def send(self, message: Message) -> str:
        """Post it."""
        body = json.dumps(
            {
                "type": "agent.message",
                "channel": self.channel,
                "text": message.text,
                "session_id": message.session_id,
            },
            ensure_ascii=False,
        ).encode()
        headers = {
            "content-type": "application/json",
            **self._signed(message.key, body, self.clock),
        }
        await self.http.done(Request("POST", self.url, headers, content=body))
        return "Sent."

    def _signed(self, key: str, body: bytes, clock: Clock) -> dict[str, str]:
        stamp = str(int(clock.now()))
        headers = {"webhook-id": key, "webhook-timestamp": stamp}
        if self.key is not None:
            digest = hmac.new(self.key, f"{key}.{stamp}.".encode() + body, hashlib.sha256).digest()
            headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
        return headers

    async def check(self) -> None:
        """A HEAD: any answer that does not refuse access will do."""
        answer = await self.http.send(Request("HEAD", self.url))
        if answer.status in (401, 403, 407):
            raise fault_of(answer, self.clock.now())

    async def close(self) -> None:
        """Close the connections."""
        await self.http.close()


class Email:
    """By SMTP."""

    title, has_subject, keyed = "e-mail", True, False

    def __init__(self, channel: str, secrets: Mapping[str, str], means: Means) -> None:
        if "url" not in secrets:
            raise Invalid(
                "config.url: E-mail needs one: smtps://user:password@host/?from=me@example.com."
            )
        self.mail = Mail(channel, secrets["url"], means.targets)

    async def send(self, message: Message) -> str:
        """Hand it to the server."""
        await self.mail.send(message.key, message.subject, message.text)
        return "Sent."

    async def check(self) -> None:
        """Log in."""
        await self.mail.check()

    async def close(self) -> None:
        """Nothing is held."""


def address(url: str) -> httpx2.URL:
    """Where messages go; Invalid never repeats it, since it is a secret."""
    try:
        found = httpx2.URL(url)
        parts = urlsplit(url)
    except (ValueError, httpx2.InvalidURL):
        raise Invalid("config.url: It is no URL.") from None
    if parts.scheme not in ("http", "https") or not found.host:
        raise Invalid("config.url: It must begin with https:// or http:// and name a host.")
    return found


def signing_key(credential: str | None) -> bytes | None:
    """The key of a secret as Standard Webhooks write it (`whsec_` and base64), or its bytes; Invalid."""
    if credential is None:
        return None
    try:
        key = base64.b64decode(credential.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = credential.encode()
    if len(key) < SIGNED_BYTES_MIN:
        raise Invalid(f"config.credential: A signing key has at least {SIGNED_BYTES_MIN} bytes.")
    return key


def apprise(channel: str, secrets: Mapping[str, str], means: Means) -> Sender:
    """By Apprise."""
    from agentstead.tools.connectors.apprise import Apprise

    return Apprise(channel, secrets, means)


SENDERS: Mapping[str, Callable[[str, Mapping[str, str], Means], Sender]] = {
    "slack": Slack,
    "webhook": Webhook,
    "email": Email,
    "apprise": apprise,
}
"""By `via`."""
