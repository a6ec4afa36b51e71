"""Channels as tools: what leaves, and what a receiver can tell it by."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_string
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from agentstead.errors import Invalid
from tests.support.customers import Customers, customers_serving
from tests.tools.connectors.declaring import Place, place, said

KEY = b"k" * 32


@pytest.fixture
async def receiver() -> AsyncIterator[Customers]:
    async with customers_serving() as served:
        yield served


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place() as found:
        yield found


def a_channel(here: Place, channel: str = "#onboarding", send: bool = True, **config: Any) -> Any:
    given = {"type": "notification", "channel": channel, **config}
    return here.declared("slack", given, send=send)


async def test_slack_gets_a_message_by_its_webhook(here: Place, receiver: Customers) -> None:
    declared = a_channel(here, url=f"{receiver.url}/services/T/B/hidden")
    (tool,) = await here.connectors.tools(declared)
    assert (tool.name, tool.effect.value) == ("slack_send", "send")
    assert said(await here.call(declared, "send", message="Ada is in.")) == "Sent."
    (asked,) = receiver.asked
    assert json.loads(asked.body) == {"channel": "#onboarding", "text": "Ada is in."}
    assert "hidden" not in repr(declared)


async def test_slack_is_talked_to_as_a_bot(here: Place, receiver: Customers) -> None:
    declared = a_channel(here, url=f"{receiver.url}/api", credential="xoxb-hidden")
    receiver.failures = [
        JSONResponse({"ok": True, "channel": "C1", "ts": "1.2"}),
        JSONResponse({"ok": False, "error": "channel_not_found"}),
        JSONResponse({"ok": False, "error": "invalid_auth"}),
    ]
    assert said(await here.call(declared, "send", message="x")) == "Sent: C1 1.2."
    assert "channel_not_found" in said(await here.call(declared, "send", message="x"))
    assert said(await here.call(declared, "send", message="x")).startswith("access refused")
    assert receiver.asked[0].path == "/api/chat.postMessage"
    assert receiver.asked[0].headers["authorization"] == "Bearer xoxb-hidden"


async def test_a_webhook_is_signed_and_keeps_its_id(here: Place, receiver: Customers) -> None:
    secret = "whsec_" + base64.b64encode(KEY).decode()
    url = f"{receiver.url}/hook"
    given = {"via": "webhook", "url": url, "credential": secret}
    kept = here.declared(
        "slack", {"type": "notification", "channel": "ops", **given}, send=True, retries_max=1
    )
    receiver.failures = [Response(status_code=500)]
    assert said(await here.call(kept, "send", message="Grüße")) == "Sent."
    first, again = receiver.asked
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == "sevt_1"
    signed = f"sevt_1.{again.headers['webhook-timestamp']}.".encode() + again.body
    digest = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert again.headers["webhook-signature"] == f"v1,{digest}"
    assert json.loads(again.body)["text"] == "Grüße"


async def test_a_template_makes_fields(here: Place, receiver: Customers) -> None:
    declared = a_channel(here, url=receiver.url, template="[{customer}] {message} {{}}")
    missing = await here.call(declared, "send", message="x")
    assert said(missing).startswith("invalid input: ")
    await here.call(declared, "send", message="{customer.__class__}", customer="Ada")
    assert json.loads(receiver.asked[0].body)["text"] == "[Ada] {customer.__class__} {}"


async def test_nothing_is_sent_that_is_not_granted(here: Place, receiver: Customers) -> None:
    declared = a_channel(here, send=False, url=receiver.url)
    assert await here.connectors.tools(declared) == []
    assert said(await here.call(declared, "send", message="x")).startswith("permission denied")
    assert receiver.asked == []


async def test_what_is_left_out_is_the_operators(receiver: Customers) -> None:
    async with place(defaults={"notify_slack_url": f"{receiver.url}/default"}) as here:
        await here.call(a_channel(here), "send", message="x")
        assert receiver.asked[0].path == "/default"
        with pytest.raises(Invalid, match="AGENTSTEAD_NOTIFY_EMAIL_URL"):
            a_channel(here, "a@example.com", via="email")
        with pytest.raises(Invalid, match="AGENTSTEAD_CONNECTOR_APPRISE"):
            a_channel(here, via="apprise", url="json://x")


@dataclass
class Post:
    """A mail server without TLS, on the loopback."""

    port: int = 0
    mails: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One session."""
        writer.write(b"220 here\r\n")
        while line := await reader.readline():
            word = line[:4].upper()
            if word == b"DATA":
                writer.write(b"354 go\r\n")
                self.mails.append((await reader.readuntil(b"\r\n.\r\n")).decode())
            if word == b"RCPT" and b"nobody" in line:
                writer.write(b"550 unknown\r\n")
            else:
                writer.write(b"250 ok\r\n")
        writer.close()


@asynccontextmanager
async def post() -> AsyncIterator[Post]:
    state = Post()
    server = await asyncio.start_server(state.serve, "127.0.0.1", 0)
    state.port = server.sockets[0].getsockname()[1]
    async with server:
        yield state


async def test_mail_is_handed_to_a_server(here: Place) -> None:
    async with post() as server:
        url = f"smtp://127.0.0.1:{server.port}/?from=agent@example.com&tls=none"
        declared = a_channel(here, "ops@example.com, ada@example.com", via="email", url=url)
        outcome = await here.call(
            declared, "send", message="Hello\n.\nbye", subject="News\r\nBcc: evil@example.com"
        )
        assert said(outcome) == "Sent."
        mail = message_from_string(server.mails[0])
        assert mail["To"] == "ops@example.com, ada@example.com"
        assert mail["Subject"] == "News Bcc: evil@example.com"
        assert mail["Bcc"] is None
        assert mail["Message-ID"] == "<sevt_1@example.com>"
        nobody = a_channel(here, "nobody@example.com", via="email", url=url)
        assert said(await here.call(nobody, "send", message="x")).startswith("refused: ")
        secure = a_channel(here, "a@example.com", via="email", url=url.replace("&tls=none", ""))
        assert "STARTTLS" in said(await here.call(secure, "send", message="x"))


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"channel": "#x", "url": "hidden"}, "config.url"),
        ({"channel": "#x", "url": "ftp://hidden"}, "config.url"),
        ({"channel": "x", "via": "webhook", "url": "https://a.test", "credential": "hidden"}, "config.credential"),
        ({"channel": "not an address", "via": "email", "url": "smtps://a@b.test@c.test"}, "config."),
        ({"channel": "a@b.test", "via": "email", "url": "smtp://u:hidden@c.test?tls=none&from=a@b.test"}, "config.url"),
        ({"channel": "a@b.test\nBcc: x@y.test", "via": "email", "url": "smtps://c.test"}, "channel"),
        ({"channel": "x", "url": "https://a.test", "template": "no field"}, "template"),
        ({"channel": "x", "url": "https://a.test", "template": "{message.__class__}"}, "template"),
        ({"channel": "x", "url": "https://a.test", "template": "{message!r}"}, "template"),
        ({"channel": "x", "url": "https://a.test", "template": "{message"}, "template"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_refused_by_field(
    here: Place, config: dict[str, Any], path: str
) -> None:
    with pytest.raises(Invalid) as caught:
        a_channel(here, **config)
    assert caught.value.message.startswith(path)
    assert "hidden" not in caught.value.message
