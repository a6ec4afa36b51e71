"""One plain request and its answer, read and written anew on both sides.

Nothing is passed on as it came: h11 parses each message and another h11 writes it, so no two readers
can disagree about where it ends. Headers that concern one connection stay on it.
"""

import asyncio
from collections.abc import Iterable

import h11

from agentstead.sandbox.egress.dial import Connected, Unreachable
from agentstead.sandbox.egress.stream import READ_BYTES, Stream
from agentstead.sandbox.egress.target import Target

HOP = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection",
    b"te", b"trailer", b"transfer-encoding", b"upgrade", b"http2-settings",
}  # fmt: skip
Headers = list[tuple[bytes, bytes]]


class Exchange:
    """A request of `client` (our side of it) sent on through a connection."""

    def __init__(
        self, stream: Stream, client: h11.Connection, far: Connected, head_bytes: int
    ) -> None:
        self._stream = stream
        self._client = client
        self._far = far
        self._server = h11.Connection(h11.CLIENT, max_incomplete_event_size=head_bytes)
        self.answered = False
        """Whether the client has been sent the beginning of an answer."""

    async def run(self, request: h11.Request, target: Target) -> None:
        """Until the answer is complete; raises Unreachable when the server's is not HTTP."""
        self._stream.touched()
        await self._to_server(self._server.send(self._request(request, target)))
        sending = asyncio.create_task(self._send_body())
        receiving = asyncio.create_task(self._receive())
        try:
            await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()  # a request that breaks off ends the exchange
            await receiving
        finally:
            for task in (sending, receiving):
                task.cancel()
            await asyncio.gather(sending, receiving, return_exceptions=True)

    def _request(self, request: h11.Request, target: Target) -> h11.Request:
        upstream = self._far.upstream
        headers: Headers = [(b"Host", target.authority.encode("ascii"))]
        headers += [pair for pair in end_to_end(request) if pair[0].lower() != b"host"]
        if chunked(request.headers):
            headers.append((b"Transfer-Encoding", b"chunked"))
        headers.append((b"Connection", b"close"))
        path = target.path
        if upstream is not None:
            path = f"http://{target.authority}{path}"
            if upstream.authorization:
                headers.append((b"Proxy-Authorization", upstream.authorization.encode("ascii")))
        return h11.Request(method=request.method, target=path, headers=headers)

    async def _send_body(self) -> None:
        while True:
            event = self._client.next_event()
            if event is h11.NEED_DATA:
                self._client.receive_data(await self._stream.from_client())
                self._stream.touched()
            elif isinstance(event, h11.Data):
                await self._to_server(self._server.send(event))
            elif isinstance(event, h11.EndOfMessage):
                await self._to_server(self._server.send(h11.EndOfMessage()))
                return
            else:
                raise ConnectionResetError

    async def _to_server(self, data: bytes | None) -> None:
        if data:
            self._far.writer.write(data)
            await self._far.writer.drain()

    async def _receive(self) -> None:
        while True:
            try:
                event = self._server.next_event()
                if event is h11.NEED_DATA:
                    self._server.receive_data(await self._far.reader.read(READ_BYTES))
                    self._stream.touched()
                    continue
            except (h11.RemoteProtocolError, ConnectionError) as error:
                if self.answered:
                    raise ConnectionResetError from error
                raise Unreachable("nonsense", "The server's answer is not HTTP.") from error
            if isinstance(event, h11.InformationalResponse):
                if event.status_code == 101:
                    raise Unreachable("nonsense", "The server changed the protocol unasked.")
                headers = end_to_end(event)
                await self._to_client(
                    h11.InformationalResponse(status_code=event.status_code, headers=headers)
                )
            elif isinstance(event, h11.Response):
                await self._to_client(self._response(event))
                self.answered = True
            elif isinstance(event, h11.Data):
                await self._to_client(event)
            elif isinstance(event, h11.EndOfMessage):
                await self._to_client(h11.EndOfMessage())
                return
            else:
                raise ConnectionResetError

    def _response(self, event: h11.Response) -> h11.Response:
        headers = end_to_end(event)
        if chunked(event.headers):
            headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
            headers.append((b"Transfer-Encoding", b"chunked"))
        return h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)

    async def _to_client(self, event: h11.Event) -> None:
        data = self._client.send(event)
        if data:
            await self._stream.to_client(data)


def end_to_end(message: h11.Request | h11.Response | h11.InformationalResponse) -> Headers:
    """The headers that are meant for the other end, spelled as they came."""
    named = {
        word.strip().lower()
        for name, value in message.headers
        if name == b"connection"
        for word in value.split(b",")
    }
    return [pair for pair in message.headers.raw_items() if pair[0].lower() not in HOP | named]


def chunked(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether the message comes in chunks."""
    return any(name == b"transfer-encoding" for name, _ in headers)
