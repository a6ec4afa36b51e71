"""Sandboxes: from nothing to a first result, and later calls, against the same command started bare.

Bare means `/bin/bash -c` as a subprocess, and the same inside a plain `bwrap`. The sandbox is the
real one: own user, namespaces, filter, limits, supervisor and journal.
"""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.places import temporary_dir

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.sandbox import Limits, SandboxSpec
from bench.report import keep, line, milliseconds, percentile, title

ROUNDS = 30
LATER = 5
COMMAND = "echo hello"
BARE = ["/bin/bash", "-c", COMMAND]
SPEC = SandboxSpec(Limits())
PLAIN = [
    "--unshare-all",
    "--ro-bind",
    "/usr",
    "/usr",
    "--symlink",
    "usr/bin",
    "/bin",
    "--symlink",
    "usr/lib",
    "/lib",
    "--symlink",
    "usr/lib64",
    "/lib64",
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/tmp",
    "--",
]


def bare(program: list[str]) -> float:
    """Seconds of a subprocess, to its output's end."""
    began = time.perf_counter()
    said = subprocess.run([*program, *BARE], capture_output=True, check=True).stdout
    assert said == b"hello\n"
    return time.perf_counter() - began


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Seconds of a call."""
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


async def measure(root: Path) -> dict[str, list[float]]:
    """All of them in turn, so that whatever else the machine does is in each."""
    sandboxes = Bubblewrap(root, clock=SystemClock())
    warm = Bubblewrap(root, clock=SystemClock(), spares=1)
    plain = [sandboxes.program()[0], *PLAIN]
    found: dict[str, list[float]] = {"bare": [], "bwrap": [], "cold": [], "later": [], "warm": []}

    async def call(number: int, call_id: str, there: Bubblewrap = sandboxes) -> None:
        given = {"command": COMMAND}
        outcome = await there.call(f"bench{number}", SPEC, call_id, "bash", given)
        assert outcome.content[0]["text"] == "hello", outcome

    async def ready() -> None:
        while not warm.spares.fits(SPEC):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)

    await call(0, "first")  # the process that forks the others is there from now on
    await call(0, "second", warm)
    warm.spares.fill(SPEC)
    for number in range(1, ROUNDS + 1):
        found["bare"].append(bare([]))
        found["bwrap"].append(bare(plain))
        found["cold"].append(await timed(lambda n=number: call(n, "cold")))  # type: ignore[misc]
        for again in range(LATER):
            name = f"later{again}"
            found["later"].append(await timed(lambda n=number, i=name: call(n, i)))  # type: ignore[misc]
        await ready()
        found["warm"].append(await timed(lambda n=number: call(ROUNDS + n, "warm", warm)))  # type: ignore[misc]
        for done in (number, ROUNDS + number):
            await sandboxes.destroy(f"bench{done}")
    await sandboxes.destroy("bench0")
    for each in (sandboxes, warm):
        await each.close()
    return found


def main() -> None:
    """Measure and print."""
    title("sandboxes (bars: cold 5 times bwrap, later twice a subprocess, spare 20 ms over it)")
    root = temporary_dir()
    try:
        found = asyncio.run(measure(root / "sandboxes"))
    finally:
        shutil.rmtree(root)
    names = {
        "bare": "bare subprocess", "bwrap": "bare bwrap",
        "cold": "cold sandbox to first result", "later": "later call",
        "warm": "first call, a spare is ready",
    }  # fmt: skip
    for name, words in names.items():
        line(words, milliseconds(found[name]))
    p50 = {name: percentile(samples, 0.5) for name, samples in found.items()}
    cold, later = p50["cold"] / p50["bwrap"], p50["later"] / p50["bare"]
    line("cold / bwrap, p50", f"{cold:.2f}")
    line("later / subprocess, p50", f"{later:.2f}")
    line("spare - subprocess, p50", f"{(p50['warm'] - p50['bare']) * 1000:.1f} ms")
    keep("sandbox_start", cold=cold, later=later, warm=p50["warm"] - p50["bare"])


if __name__ == "__main__":
    main()
