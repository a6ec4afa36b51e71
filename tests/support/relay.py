"""A database that listens in a folder, on a port of the loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict


@asynccontextmanager
async def on_a_port(database_url: str) -> AsyncIterator[str]:
    """The address of the same database, by TCP."""
    given = conninfo_to_dict(database_url)
    async with relayed(f"{given['host']}/.s.PGSQL.{given.get('port') or 5432}") as port:
        password = quote(str(given["password"]), safe="")
        yield f"postgresql://{given['user']}:{password}@127.0.0.1:{port}/{given['dbname']}"


@asynccontextmanager
async def relayed(path: str) -> AsyncIterator[int]:
    """A port of the loopback that leads to a socket in a folder."""

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
        sink.close()

    working: set[asyncio.Task[None]] = set()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, out = await asyncio.open_unix_connection(path)
        try:
            await asyncio.gather(pump(reader, out), pump(back, writer))
        finally:
            out.close()
            writer.close()

    def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(join(reader, writer))
        working.add(task)
        task.add_done_callback(working.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
