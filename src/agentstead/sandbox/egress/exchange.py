"""One plain request and its answer, read and written anew on both sides.

Nothing is passed on as it came: h11 parses each message and another h11 writes it, so no two readers
can disagree about where it ends. Headers that concern one connection stay on it.
"""

import asyncio

import h11

from agentstead.sandbox.egress.change import Change, Unchanged
from agentstead.sandbox.egress.dial import Connected, Unreachable
from agentstead.sandbox.egress.headers import Headers, chunked, first, without
from agentstead.sandbox.egress.stream import READ_BYTES, Stream
from agentstead.sandbox.egress.target import Target

WHOLE_BYTES_MAX = 1 << 20
"""A body whose length may change on its way is read to its end up to here, and sent with its new length;
a longer one goes on in chunks."""


class Exchange:
    """A request of `client` (our side of it) sent on through a connection."""

    def __init__(
        self,
        stream: Stream,
        client: h11.Connection,
        far: Connected,
        head_bytes: int,
        change: Change | None = None,
    ) -> None:
        self._stream = stream
        self._client = client
        self._far = far
        self._change = change or Unchanged()
        self._whole: bytes | None = None
        """The whole body as it is sent, where it had to be known first."""
        self._server = h11.Connection(h11.CLIENT, max_incomplete_event_size=head_bytes)
        self.answered = False
        """Whether the client has been sent the beginning of an answer."""

    async def run(self, request: h11.Request, target: Target) -> None:
        """Until the answer is complete; raises Unreachable when the server's is not HTTP."""
        self._stream.touched()
        if self._change.rewrites_body:
            await self._read_whole(request)
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
        headers += without(self._change.request(request), b"host")
        if self._whole is not None:
            headers = without(headers, b"content-length", b"expect")
            headers.append((b"Content-Length", str(len(self._whole)).encode()))
        elif chunked(request.headers):
            headers.append((b"Transfer-Encoding", b"chunked"))
        elif self._change.rewrites_body and first(request.headers, b"content-length"):
            headers = without(headers, b"content-length")
            headers.append((b"Transfer-Encoding", b"chunked"))
        headers.append((b"Connection", b"close"))
        path = target.path
        if upstream is not None:
            path = f"http://{target.authority}{path}"
            if upstream.authorization:
                headers.append((b"Proxy-Authorization", upstream.authorization.encode("ascii")))
        return h11.Request(method=request.method, target=path, headers=headers)

    async def _read_whole(self, request: h11.Request) -> None:
        length = first(request.headers, b"content-length")
        if not length or int(length) > WHOLE_BYTES_MAX:
            return
        if self._client.they_are_waiting_for_100_continue:
            await self._to_client(h11.InformationalResponse(status_code=100, headers=[]))
        pieces = []
        while (piece := await self._piece()) is not None:
            pieces.append(piece)
        self._whole = self._change.body(b"".join(pieces), last=True)

    async def _piece(self) -> bytes | None:
        """The next bytes of the client's body; None at its end."""
        while True:
            event = self._client.next_event()
            if event is h11.NEED_DATA:
                self._client.receive_data(await self._stream.from_client())
                self._stream.touched()
            elif isinstance(event, h11.Data):
                return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return None
            else:
                raise ConnectionResetError

    async def _send_body(self) -> None:
        if self._whole is not None:
            await self._send_data(self._whole)
        else:
            while (piece := await self._piece()) is not None:
                await self._send_data(self._change.body(piece))
            await self._send_data(self._change.body(b"", last=True))
        await self._to_server(self._server.send(h11.EndOfMessage()))

    async def _send_data(self, data: bytes) -> None:
        if data:
            await self._to_server(self._server.send(h11.Data(data=data)))

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
                headers = self._change.response(event)
                await self._to_client(
                    h11.InformationalResponse(status_code=event.status_code, headers=headers)
                )
            elif isinstance(event, h11.Response):
                await self._to_client(self._response(event))
                self.answered = True
            elif isinstance(event, h11.Data):
                await self._answer_data(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                await self._answer_data(b"", last=True)
                await self._to_client(h11.EndOfMessage())
                return
            else:
                raise ConnectionResetError

    async def _answer_data(self, data: bytes, *, last: bool = False) -> None:
        for piece in self._change.answer(data, last=last):
            if piece:
                await self._to_client(h11.Data(data=piece))

    def _response(self, event: h11.Response) -> h11.Response:
        headers = self._change.response(event)
        if chunked(event.headers):
            headers = without(headers, b"content-length")
            headers.append((b"Transfer-Encoding", b"chunked"))
        return h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)

    async def _to_client(self, event: h11.Event) -> None:
        data = self._client.send(event)
        if data:
            await self._stream.to_client(data)
