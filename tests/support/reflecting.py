"""A server that says back everything it is sent, raw and in the forms in which that is usually said."""

import asyncio
import base64
import gzip
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

import h11


@dataclass
class Seen:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes
    chunked: bool


@dataclass
class Reflecting:
    """The server."""

    port: int = 0
    seen: list[Seen] = field(default_factory=list)

    def url(self, host: str, path: str = "/raw") -> str:
        """Where it is."""
        return f"https://{host}:{self.port}{path}"


def said(seen: Seen) -> bytes:
    """What a request is answered with."""
    everything = json.dumps(
        {"headers": seen.headers, "body": seen.body.decode("latin-1")}, indent=1
    ).encode()
    kind = seen.target.partition("?")[0].strip("/")
    if kind == "base64":
        return b" ".join(base64.b64encode(b"x" * shift + everything) for shift in range(3))
    if kind == "url":
        return quote(everything, safe="").encode()
    if kind in ("gzip", "brotli"):
        return gzip.compress(everything)
    return everything


async def _answer(seen: Seen, connection: h11.Connection, writer: asyncio.StreamWriter) -> None:
    kind = seen.target.partition("?")[0].strip("/")
    token = seen.headers.get("authorization", "").encode("latin-1")
    headers: list[tuple[bytes | str, bytes | str]] = [
        ("X-Token", token),
        ("Set-Cookie", b"token=" + token + b"; Path=/"),
    ]
    status = 200
    if kind == "redirect":
        status = 302
        where = seen.target.partition("?")[2].encode()
        headers.append(("Location", where + b"?token=" + quote(token).encode()))
    if kind in ("gzip", "brotli"):
        headers.append(("Content-Encoding", {"gzip": "gzip", "brotli": "br"}[kind]))
    body = said(seen)
    pieces = [body]
    if kind == "drip":
        pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
        headers.append(("Transfer-Encoding", "chunked"))
    else:
        headers.append(("Content-Length", str(len(body))))
    writer.write(connection.send(h11.Response(status_code=status, headers=headers)))
    for piece in pieces:
        writer.write(connection.send(h11.Data(data=piece)))
        if len(pieces) > 1:
            await writer.drain()
            await asyncio.sleep(0)
    writer.write(connection.send(h11.EndOfMessage()))
    await writer.drain()


@asynccontextmanager
async def reflecting(tls: ssl.SSLContext | None) -> AsyncIterator[Reflecting]:
    """It, on the loopback."""
    found = Reflecting()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER)
        request: h11.Request | None = None
        body = b""
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    if connection.they_are_waiting_for_100_continue:
                        go_on = h11.InformationalResponse(status_code=100, headers=[])
                        writer.write(connection.send(go_on))
                    connection.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Request):
                    request, body = event, b""
                elif isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    headers = {
                        name.decode().lower(): value.decode("latin-1")
                        for name, value in request.headers
                    }
                    target = request.target.decode()
                    seen = Seen(target, headers, body, "transfer-encoding" in headers)
                    found.seen.append(seen)
                    await _answer(seen, connection, writer)
                    if h11.MUST_CLOSE in connection.states.values():
                        break
                    connection.start_next_cycle()
                else:
                    break
        except (ConnectionError, h11.ProtocolError, ssl.SSLError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
