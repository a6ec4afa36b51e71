"""Bytes both ways once a tunnel stands; under a list of hosts its TLS must name the host it is for.

Without that a tunnel to an allowed host of a large hoster leads to every other host there.
"""

import asyncio

from agentstead.addresses import host_of
from agentstead.sandbox.egress.dial import Connected, Denied
from agentstead.sandbox.egress.hello import (
    HELLO_BYTES_MAX,
    UNRECOGNIZED_NAME,
    Incomplete,
    NoHello,
    server_name,
)
from agentstead.sandbox.egress.policy import Denial
from agentstead.sandbox.egress.stream import READ_BYTES, Sink, Source, Stream
from agentstead.sandbox.egress.target import Target

HELLO_SECONDS = 30.0
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def open_tunnel(stream: Stream, first: bytes, target: Target, named: bool) -> bytes:
    """Say that the tunnel stands; what the client sends first, whose server name was checked if `named`."""
    await stream.to_client(ESTABLISHED)
    if not named:
        return first
    stream.patience(HELLO_SECONDS)
    data = first
    while True:
        try:
            name = server_name(data)
        except Incomplete:
            more = await stream.from_client()
            if not more:
                return data  # nothing was said, so nothing has to be passed on
            data += more
            if len(data) > 2 * HELLO_BYTES_MAX:
                raise _mismatch(target, "its TLS cannot be read") from None
            continue
        except NoHello as problem:
            raise _mismatch(target, f"port 443 is for TLS, and this does not read as such: {problem}") from None  # fmt: skip
        if not name or not _same(name, target.host):
            raise _mismatch(target, f"its TLS names {name or 'no host'}")
        return data


async def first_words(stream: Stream, data: bytes, far: Connected) -> tuple[bytes, str | None]:
    """What the client says first, and the host that its TLS names, if any; None: this is no TLS.

    Whoever waits for the server to speak first does not wait here for ever: what it says is passed on.
    """
    answering = asyncio.create_task(far.reader.read(READ_BYTES))
    try:
        data, name = await _hello(stream, data, answering)
    finally:
        answering.cancel()
        (said,) = await asyncio.gather(answering, return_exceptions=True)
    if isinstance(said, bytes):
        await stream.to_client(said)
        name = None
    return data, name


async def _hello(
    stream: Stream, data: bytes, answering: "asyncio.Task[bytes]"
) -> tuple[bytes, str | None]:
    """The same, given up once the server has spoken."""
    while len(data) <= 2 * HELLO_BYTES_MAX:
        try:
            return data, server_name(data) or ""
        except NoHello:
            break
        except Incomplete:
            asking = asyncio.create_task(stream.from_client())
            try:
                await asyncio.wait({asking, answering}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                asking.cancel()
                (more,) = await asyncio.gather(asking, return_exceptions=True)
            if not isinstance(more, bytes) or not more:
                break
            data += more
    return data, None


async def refuse_name(stream: Stream) -> None:
    """Tell the client's TLS."""
    await stream.to_client(UNRECOGNIZED_NAME)


async def pump(stream: Stream, first: bytes, far: Connected) -> None:
    """Carry bytes both ways until both ends have finished."""
    stream.touched()
    if first:
        far.writer.write(first)
        await far.writer.drain()
    async with asyncio.TaskGroup() as both:
        both.create_task(_carry(stream, stream.reader, far.writer, outward=True))
        both.create_task(_carry(stream, far.reader, stream.writer, outward=False))


async def _carry(stream: Stream, source: Source, sink: Sink, *, outward: bool) -> None:
    while data := await source.read(READ_BYTES):
        stream.touched()
        if outward:
            stream.meter.count(sent=len(data))
        else:
            stream.meter.count(received=len(data))
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


def _same(name: str, host: str) -> bool:
    try:
        return host_of(name) == host
    except ValueError:
        return False


def _mismatch(target: Target, what: str) -> Denied:
    return Denied(Denial("name", f"A tunnel to {target.host} is for that host only: {what}."))
