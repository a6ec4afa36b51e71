"""E-mail by SMTP, to a checked address, with TLS unless the operator's own network is told otherwise."""

import asyncio
import re
import smtplib
import socket
import ssl
from collections.abc import Callable
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

from agentstead.errors import ConnectorFault, Invalid
from agentstead.tools.connectors.targets import Targets

ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
SECONDS = 30.0
Work = Callable[[smtplib.SMTP], object]
PORTS = {"smtps": 465, "smtp": 587}


class Mail:
    """One sender, some receivers.

    `smtps://`: TLS from the start; `smtp://`: STARTTLS, which the server must offer, unless the address
    says `?tls=none` (and so names no password).
    """

    def __init__(self, to: str, url: str, targets: Targets) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        if parts.scheme not in PORTS or not parts.hostname:
            raise Invalid("config.url: It must begin with smtps:// or smtp:// and name a host.")
        self.tls = parts.scheme == "smtps"
        self.plain = query.get("tls") == ["none"]
        self.host = parts.hostname
        self.port = parts.port or PORTS[parts.scheme]
        self.user = unquote(parts.username or "")
        self.password = unquote(parts.password or "")
        if self.plain and self.password:
            raise Invalid("config.url: A password is not sent without TLS.")
        self.sender = one_address(query.get("from", [self.user])[0], "config.url: from")
        self.to = [one_address(one, "config.channel") for one in to.split(",")]
        self.targets = targets

    async def send(self, key: str, subject: str, text: str) -> None:
        """Hand a message to the server. ConnectorFault: `cut` once it may have been taken."""
        message = EmailMessage()
        message["From"], message["To"] = self.sender, ", ".join(self.to)
        message["Subject"] = " ".join(subject.split())
        message["Message-ID"] = f"<{key}@{self.sender.rpartition('@')[2]}>"
        message.set_content(text)
        await self._with(lambda server: server.send_message(message))

    async def check(self) -> None:
        """Log in. ConnectorFault."""
        await self._with(lambda server: server.noop())

    async def _with(self, work: Work) -> None:
        address = (await self.targets.resolved(self.host, self.port))[0]
        await asyncio.to_thread(self._session, address, work)

    def _session(self, address: str, work: Work) -> None:
        server = Dialled(address, self.host, self.tls)
        try:
            try:
                server.connect(self.host, self.port)
                if not self.tls and not self.plain:
                    server.starttls(context=ssl.create_default_context())
                if self.password:
                    server.login(self.user, self.password)
            except smtplib.SMTPAuthenticationError:
                raise ConnectorFault("The server refused user and password.", kind="auth") from None
            except (OSError, smtplib.SMTPException) as error:
                raise ConnectorFault(f"{self.host}: {said(error)}", kind="unreachable") from None
            try:
                work(server)
            except (smtplib.SMTPRecipientsRefused, smtplib.SMTPResponseException) as error:
                raise ConnectorFault(f"{self.host}: {said(error)}", kind="refused") from None
            except (OSError, smtplib.SMTPException) as error:
                raise ConnectorFault(f"{self.host}: {said(error)}", kind="cut") from None
        finally:
            server.close()


class Dialled(smtplib.SMTP):
    """Connects to an address that was checked; TLS still verifies the host's name."""

    def __init__(self, address: str, host: str, tls: bool) -> None:
        super().__init__(timeout=SECONDS)
        self.address = address
        self.tls = tls
        self._host = host

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self.address, port), timeout)
        if not self.tls:
            return plain
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def one_address(text: str, path: str) -> str:
    """One address of e-mail; Invalid."""
    found = ADDRESS.fullmatch(text.strip())
    if found is None:
        raise Invalid(f"{path}: It must be an address of e-mail, e.g. ops@example.com.")
    return found[0]


def said(error: Exception) -> str:
    """The words of a fault on one line."""
    return " ".join(str(error).split())[:500] or type(error).__name__
