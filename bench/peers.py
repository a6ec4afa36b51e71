"""Steps per second beside LangGraph and DBOS, on the same PostgreSQL in the same run.

Sessions of 20 steps, 1, 50 and 500 at once, no upstream delay. A step is one model request with one
tool call, answered by a tool that does nothing. Ours is the real worker in one process; the peers are
one process each, from a venv of their own (`bench/.venv-peers`, made when it is not there) at the
versions of `bench/requirements-peers.lock`. Equal durability: what a step did is committed before
the next begins. A cell ends when its sessions are done or after `--seconds`.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from statistics import median
from urllib.parse import urlsplit

import uvloop
from tests.support.places import temporary_dir

from agentstead.providers.catalogue import Catalogue
from agentstead.settings import Settings
from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.pool import Database
from bench.report import keep, line, title
from bench.steps import MODEL, TOOL, Bench, begun, scripted
from bench.upstream import upstream

HERE = Path(__file__).parent
LOCK = HERE / "requirements-peers.lock"
VENV = HERE / ".venv-peers"
STEPS = 20
BAR = 10.0
LANGGRAPH = "LangGraph, Postgres checkpointer"
DBOS = "DBOS"


def peers_python() -> Path:
    """The interpreter of the peers' venv, which is made when its lock has changed."""
    python = VENV / "bin" / "python"
    mark = VENV / "lock"
    if not mark.exists() or mark.read_bytes() != LOCK.read_bytes():
        uv = str(Path(sys.executable).parent / "uv")
        subprocess.run([uv, "venv", "-q", "--clear", str(VENV)], check=True)
        subprocess.run(
            [
                uv,
                "pip",
                "install",
                "-q",
                "--require-hashes",
                "--python",
                str(python),
                "-r",
                str(LOCK),
            ],
            check=True,
        )
        mark.write_bytes(LOCK.read_bytes())
    return python


def peer(name: str, url: str, sessions: int, seconds: float, *more: str) -> float:
    """Steps per second of a peer."""
    there = urlsplit(url)._replace(path="/peers").geturl()
    done = subprocess.run(
        [str(peers_python()), str(HERE / f"peers_{name}.py"), "--url", there, "--steps", str(STEPS),
         "--sessions", str(sessions), "--seconds", str(seconds), *more],
        capture_output=True, text=True, check=False, timeout=seconds + 60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["steps"] / found["seconds"])


async def ours(
    bench: Bench,
    sessions: int,
    seconds: float,
    catalogue: Catalogue | None = None,
    model: str = MODEL,
) -> float:
    """Steps per second of the worker: the median of the rounds for which there is time."""
    catalogue = catalogue or Catalogue(Settings(), providers={"scripted": scripted(STEPS)})
    rounds: list[float] = []
    until = time.perf_counter() + seconds / 2
    while not rounds or (time.perf_counter() < until and len(rounds) < 5):
        spent = await bench.through_worker(catalogue, model, sessions)
        rounds.append(sessions * STEPS / spent)
    return median(rounds)


async def measure(at: Sequence[int], seconds: float) -> None:
    """Measure and print."""
    folder = temporary_dir()
    postgres = EmbeddedPostgres(folder / "data")
    url = await postgres.start()
    try:
        peers_python()
        own = await Database.open(url)
        await own.execute("create database peers")  # they have a table `checkpoints` too
        await own.close()
        db = await begun(await Database.open(url, connections_max=12))
        bench = Bench(db)
        await bench.log.start()
        await ours(bench, 5, 1.0)
        for sessions in at:
            await beside(bench, url, sessions, seconds)
        await bench.log.close()
        await db.close()
    finally:
        await postgres.stop()
        with suppress(OSError):
            rmtree(folder)


async def beside(bench: Bench, url: str, sessions: int, seconds: float) -> None:
    """Everybody with so many sessions at once."""
    print(f"\n{sessions} at once", flush=True)
    own = await ours(bench, sessions, seconds)
    line("agentstead, one worker", f"{own:8.0f} steps/s")
    figures = {}
    for name, label, more in (
        ("langgraph", f"{LANGGRAPH}, sync", ("--durability", "sync")),
        ("langgraph", f"{LANGGRAPH}, default", ("--durability", "default")),
        ("dbos", f"{DBOS} (its one durability)", ()),
    ):
        found = await asyncio.to_thread(peer, name, url, sessions, seconds, *more)
        figures[label] = found
        line(label, f"{found:8.1f} steps/s   agentstead / it {own / found:6.1f}   (bar {BAR:g})")
    again = await ours(bench, sessions, seconds)
    line("agentstead again", f"{again:8.0f} steps/s")
    with upstream(0.0, tool=TOOL, steps=STEPS) as address:
        settings = Settings(anthropic_api_key="bench", anthropic_base_url=address)  # type: ignore[arg-type]
        http = Catalogue(settings)
        over = await ours(bench, sessions, min(seconds, 8.0), http, "claude-sonnet-5-5")
        await http.close()
    line("agentstead, anthropic adapter and HTTP", f"{over:8.0f} steps/s   (no bar)")
    equal = max(found for label, found in figures.items() if "default" not in label)
    keep(f"peers_{sessions}", own=own, http=over, ratio=own / equal, **figures)


def main() -> None:
    """Run on the loop that the platform uses."""
    options = argparse.ArgumentParser()
    options.add_argument("--at", default="1,50,500")
    options.add_argument("--seconds", type=float, default=20.0)
    chosen = options.parse_known_args()[0]
    title(f"{STEPS}-step sessions beside LangGraph and DBOS, load average {os.getloadavg()[0]:.1f}")
    at = [int(number) for number in chosen.at.split(",")]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(at, chosen.seconds))


if __name__ == "__main__":
    main()
