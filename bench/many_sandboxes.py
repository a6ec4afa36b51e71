"""Memory of many sandboxes at once: 200 must fit into 24 GiB.

Every sandbox has a supervisor, a runner, a shell and an egress proxy, and has just run a call that used
its network. Counted is the proportional set size of all their processes (a page that n processes share
counts 1/n for each), and what the machine has less of.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Network, SandboxSpec
from bench.report import keep, line, milliseconds, title

AT_ONCE = 8
MIB = 1 << 20
CALL = "curl -s http://denied.invalid/ > /dev/null; echo up"
"""Makes the proxy start, and be refused by it."""


async def start(sandboxes: Bubblewrap, count: int) -> list[float]:
    """Seconds from asking for each to the result of its first call."""
    spec = SandboxSpec(network=Network("limited"))
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> float:
        async with room:
            began = time.perf_counter()
            name = f"sesn_many{number}"
            outcome = await sandboxes.call(name, spec, "1", "bash", {"command": CALL})
            assert outcome.content[0]["text"] == "up", outcome
            return time.perf_counter() - began

    return await asyncio.gather(*(one(number) for number in range(count)))


def kind(command: bytes) -> str:
    """What a process of a sandbox is."""
    if command.startswith(b"bwrap"):
        return "bwrap"
    kinds = (
        (b"supervisor.runner", "runner"),
        (b"egress", "proxy"),
        (b"supervisor/__main__", "supervisor"),
    )
    return next((name for word, name in kinds if word in command), "shell")


def measured(root: Path) -> Counter[str]:
    """Bytes by kind of process."""
    found: Counter[str] = Counter()
    for folder in root.iterdir():
        if folder.name.startswith("."):
            continue
        waiting = [int((folder / "lock").read_text())]
        while waiting:
            process = Path(f"/proc/{waiting.pop()}")
            for thread in (process / "task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
            (size,) = [
                int(row.split()[1]) << 10
                for row in (process / "smaps_rollup").read_text().splitlines()
                if row.startswith("Pss:")
            ]
            found[kind((process / "cmdline").read_bytes())] += size
    return found


def available() -> int:
    """Bytes that the machine could still give away."""
    (row,) = [
        row for row in Path("/proc/meminfo").read_text().splitlines() if "MemAvailable" in row
    ]
    return int(row.split()[1]) << 10


async def run(folder: Path, count: int) -> None:
    """Start them, measure, and end them."""
    sandboxes = Bubblewrap(folder / "sandboxes", clock=SystemClock(), egress=Egress())
    before = available()
    try:
        began = time.perf_counter()
        seconds = await start(sandboxes, count)
        taken = time.perf_counter() - began
        found, less = measured(sandboxes.root), before - available()
    finally:
        ids = await sandboxes.reconcile(set())
        await asyncio.gather(*(sandboxes.destroy(name) for name in ids))
    total = sum(found.values())
    line(f"first call, {AT_ONCE} starts at once", milliseconds(seconds))
    line(f"all {count} up", f"{taken:.1f} s")
    for name, size in found.most_common():
        line(f"  {name}, each", f"{size / count / MIB:.1f} MiB")
    line("memory of one sandbox", f"{total / count / MIB:.1f} MiB")
    line(f"memory of {count}", f"{total / MIB:.0f} MiB; the machine has {less / MIB:.0f} MiB less")
    line("… 200 of them against 24 GiB", f"{200 * total / count / (24 << 30):.1%}")
    keep("many_sandboxes", count=count, bytes_each=total / count, seconds=taken)


def main() -> None:
    """Measure and print."""
    title("many sandboxes at once (bar: 200 within 24 GiB)")
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    given, _ = parser.parse_known_args(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="agentstead-bench-") as folder:
        Path(folder).chmod(0o711)
        asyncio.run(run(Path(folder), given.count))


if __name__ == "__main__":
    main()
