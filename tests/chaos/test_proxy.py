"""A way passes bytes on, breaks when it is cut, and holds them back when it is stalled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.chaos.proxy import HOST, Way


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    """In front of an echo."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(100):
            writer.write(piece)
        writer.close()

    server = await asyncio.start_unix_server(echo, tmp_path / "s")
    async with Way(tmp_path / "s") as opened:
        yield opened
    server.close()


async def test_it_passes_on_what_comes(way: Way) -> None:
    reader, writer = await asyncio.open_connection(HOST, way.port)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    writer.close()


async def test_a_cut_breaks_what_is_open_and_refuses_what_comes(way: Way) -> None:
    reader, writer = await asyncio.open_connection(HOST, way.port)
    writer.write(b"hello")
    await reader.readexactly(5)
    way.set("cut")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    reader, writer = await asyncio.open_connection(HOST, way.port)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    way.set("open")
    await test_it_passes_on_what_comes(way)


async def test_what_is_stalled_comes_later(way: Way) -> None:
    reader, writer = await asyncio.open_connection(HOST, way.port)
    way.set("stalled")
    writer.write(b"late")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readexactly(1), 0.05)
    way.set("open")
    assert await reader.readexactly(4) == b"late"
    writer.close()
