"""TLS over a reader and a writer, of either side, with what looks like a reader and a writer on top.

The standard library's own upgrade of a stream loses what was read before it; here those bytes, such
as a client's hello, are handed in.
"""

import asyncio
import ssl

from agentstead.sandbox.egress.stream import READ_BYTES, Sink, Source


class Secure:
    """One end of a TLS connection."""

    def __init__(
        self,
        reader: Source,
        writer: Sink,
        context: ssl.SSLContext,
        *,
        host: str | None = None,
        first: bytes = b"",
    ) -> None:
        """`host`: the server that the other end must prove to be; None: this end is the server."""
        self._reader = reader
        self._writer = writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(first)
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server_side=host is None, server_hostname=host
        )

    @property
    def transport(self) -> asyncio.WriteTransport:
        """What is below; aborting it ends both directions."""
        return self._writer.transport

    async def handshake(self) -> None:
        """Until both ends know each other; raises ssl.SSLError and EOFError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._send()
                if not await self._receive():
                    raise EOFError from None
            except ssl.SSLError:
                await self._send()  # why not
                raise
            else:
                await self._send()
                return

    async def read(self, count: int) -> bytes:
        """The next bytes; none at the end."""
        while True:
            try:
                return self._tls.read(count)
            except ssl.SSLWantReadError:
                await self._send()
                await self._receive()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise ConnectionResetError from error

    def write(self, data: bytes) -> None:
        """Bytes for the other end."""
        if data:
            self._tls.write(data)
            self._writer.write(self._outgoing.read())

    async def drain(self) -> None:
        """Wait until there is room for more."""
        await self._send()

    def can_write_eof(self) -> bool:
        """It can: TLS has a last word."""
        return True

    def write_eof(self) -> None:
        """Nothing follows."""
        try:
            self._tls.unwrap()
        except ssl.SSLError:
            pass  # it waits for the other end's last word
        self._writer.write(self._outgoing.read())

    async def _send(self) -> None:
        if self._outgoing.pending:
            self._writer.write(self._outgoing.read())
        await self._writer.drain()

    async def _receive(self) -> bool:
        data = await self._reader.read(READ_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return bool(data)
