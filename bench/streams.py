"""1,000 open streams: what each costs the server in memory, and how soon an event reaches all."""

import asyncio
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.processes import Platform

from bench.report import keep, line, percentile, title
from bench.served import Wire, ready_to_create, served

STREAMS = 1000
ROUNDS = 20
OPENING = 50
"""Streams opened at once."""


def resident_bytes(pid: int) -> int:
    """What a process holds in memory."""
    for entry in Path(f"/proc/{pid}/status").read_text().splitlines():
        if entry.startswith("VmRSS:"):
            return int(entry.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Listeners(asyncio.Protocol):
    """One stream; notes when the awaited text has come."""

    def __init__(self, crowd: "Crowd") -> None:
        self.crowd = crowd
        self.tail = b""

    def data_received(self, data: bytes) -> None:
        """Look for the text that is awaited."""
        self.tail = (self.tail + data)[-4096:]
        if self.crowd.awaited in self.tail:
            self.tail = b""
            self.crowd.came()


class Crowd:
    """All streams."""

    def __init__(self) -> None:
        self.awaited = b": open"
        self.missing = 0
        self.done = asyncio.Event()
        self.transports: list[asyncio.Transport] = []

    def expect(self, text: bytes, number: int) -> None:
        """From now on `number` streams are to bring this text."""
        self.awaited, self.missing = text, number
        self.done.clear()

    def came(self) -> None:
        """One more stream has brought it."""
        self.missing -= 1
        if self.missing == 0:
            self.done.set()

    async def open(self, place: Platform, paths: list[str]) -> None:
        """Open streams, some at a time; return when their headers are there."""
        address = urlsplit(place.url)
        loop = asyncio.get_running_loop()
        for at in range(0, len(paths), OPENING):
            some = paths[at : at + OPENING]
            self.expect(b": open", len(some))
            for path in some:
                transport, _ = await loop.create_connection(
                    lambda: Listeners(self), address.hostname, address.port
                )
                request = f"GET {path} HTTP/1.1\r\nhost: bench\r\nx-api-key: {place.key}\r\n\r\n"
                transport.write(request.encode())
                self.transports.append(transport)
            async with asyncio.timeout(60):
                await self.done.wait()

    def close(self) -> None:
        """Close all."""
        for transport in self.transports:
            transport.abort()
        self.transports.clear()


async def reach(place: Platform, session: str, crowd: Crowd) -> list[float]:
    """Seconds from changing the title until every stream has shown the event."""
    wire = Wire(place)
    found = []
    for number in range(ROUNDS):
        text = f"bench title {number}."
        crowd.expect(text.encode(), STREAMS)
        began = time.perf_counter()
        await asyncio.to_thread(wire.call, "POST", f"/v1/sessions/{session}", {"title": text})
        async with asyncio.timeout(30):
            await crowd.done.wait()
        found.append(time.perf_counter() - began)
        await asyncio.sleep(0.2)
    return found


async def measure(place: Platform, pid: int) -> tuple[float, list[float]]:
    """Bytes of a stream, each on a session of its own, and the times to reach all on one."""
    wire = Wire(place)
    body = ready_to_create(wire)
    one = wire.make("/v1/sessions", **body)
    many = [wire.make("/v1/sessions", **body) for _ in range(STREAMS)]
    crowd = Crowd()
    await crowd.open(place, [f"/v1/sessions/{one}/events/stream"] * 20)  # warm
    crowd.close()
    await asyncio.sleep(1)
    before = resident_bytes(pid)
    await crowd.open(place, [f"/v1/sessions/{each}/events/stream" for each in many])
    await asyncio.sleep(1)
    cost = (resident_bytes(pid) - before) / STREAMS
    crowd.close()
    await asyncio.sleep(2)
    await crowd.open(place, [f"/v1/sessions/{one}/events/stream"] * STREAMS)
    times = await reach(place, one, crowd)
    crowd.close()
    return cost, times


def main() -> None:
    """Measure and print."""
    title("1,000 open streams (bars: 60 KiB each; an event reaches all within 250 ms)")
    with served("--workers", "0") as (place, _):
        cost, times = asyncio.run(measure(place, place.server.pid))
    line("memory of a stream", f"{cost / 1024:.1f} KiB")
    p50, p95 = (percentile(times, share) * 1000 for share in (0.5, 0.95))
    line("an event reaches all", f"p50 {p50:.0f} ms   p95 {p95:.0f} ms   (n={len(times)})")
    keep("streams", bytes_each=cost, reach_p50=p50, reach_p95=p95)


if __name__ == "__main__":
    main()
