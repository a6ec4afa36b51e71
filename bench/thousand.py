"""1,000 sessions at once whose model takes a second: how near the pace comes to the ideal.

Each session's step cannot take less than the model's second, so 1,000 sessions could do 1,000 steps
per second. Two workers, each a process of its own, share the sessions on two cores with PostgreSQL.
The model is the scripted one in the worker's process, its delay by the clock. Measured in the log:
from the first step of the whole to the last, and, apart from the rush at both ends, the steps
between the moment when all were at work and the first one's end.
"""

import argparse
import asyncio
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from shutil import rmtree

import uvloop
from tests.support.places import temporary_dir

from agentstead.providers.catalogue import Catalogue
from agentstead.settings import Settings
from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.pool import Database
from agentstead.worker.loop import Worker
from bench.report import keep, line, title
from bench.steps import MODEL, Bench, begun, scripted

STEPS = 20
DELAY_SECONDS = 1.0
BAR = 0.95

FIGURES = """
    with steps as (
        select session_id, extract(epoch from at)::float8 as at from events
        where session_id = any(%(ids)s) and type = 'agent.tool_result'
    ), ends as (
        select max(first) as all_begun, min(last) as one_ended, min(first) as first, max(last) as last
        from (select min(at) as first, max(at) as last from steps group by session_id) s
    )
    select count(*) as steps, last - first as whole,
        count(*) filter (where at >= all_begun and at < one_ended) as between_steps,
        one_ended - all_begun as between
    from steps, ends group by first, last, all_begun, one_ended
"""


async def work(url: str, sessions: int) -> None:
    """A worker, until its input ends; prints the processor time it took."""
    db = await Database.open(url)
    bench = Bench(db)
    await bench.log.start()
    catalogue = Catalogue(Settings(), providers={"scripted": scripted(STEPS, DELAY_SECONDS)})
    world = bench.world(catalogue, bench.log)
    world = replace(world, pace=replace(world.pace, sessions_max=sessions))
    worker = Worker(world, f"bench-{os.getpid()}")
    print("ready", flush=True)
    task = asyncio.create_task(worker.run())
    await asyncio.to_thread(sys.stdin.read)
    await worker.stop()
    await task
    await bench.log.close()
    await db.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_utime + used.ru_stime, flush=True)


async def measure(sessions: int, workers: int) -> None:
    """Measure and print."""
    folder = temporary_dir()
    postgres = EmbeddedPostgres(folder / "data")
    url = await postgres.start()
    try:
        db = await begun(await Database.open(url))
        bench = Bench(db)
        await bench.log.start()
        made = await bench.begin(MODEL, sessions)
        began = time.perf_counter()
        used = await driven(bench, made, url, workers)
        row = await db.fetch_one(FIGURES, {"ids": list(made)})
        assert row
        assert row["steps"] == sessions * STEPS
        show(row, sessions, used, time.perf_counter() - began)
        await bench.log.close()
        await db.close()
    finally:
        await postgres.stop()
        with suppress(OSError):
            rmtree(folder)


async def driven(bench: Bench, made: Sequence[str], url: str, workers: int) -> float:
    """Have the sessions driven to their end; seconds of processor time of the workers."""
    each = -(-len(made) // workers)
    command = [sys.executable, "-m", "bench.thousand", "--work", url, "--sessions", str(each)]
    processes = [begun_worker(command) for _ in range(workers)]
    try:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await bench.until_idle(made, never, every=0.5)
    finally:
        said = [process.communicate(timeout=60)[0] for process in processes]
    return sum(float(lines.split()[-1]) for lines in said)


def begun_worker(command: Sequence[str]) -> "subprocess.Popen[str]":
    """A worker that ends when its input does."""
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def show(row: dict[str, float], sessions: int, used: float, spent: float) -> None:
    """Print the figures."""
    ideal = sessions / DELAY_SECONDS
    whole = (row["steps"] - sessions) / row["whole"]  # between the first and the last of each
    line("ideal pace", f"{ideal:8.0f} steps/s")
    line("from the first step to the last", f"{whole:8.0f} steps/s, {whole / ideal:.3f} of it")
    if row["between"] > 0:
        pace = row["between_steps"] / row["between"]
        line("while all were at work", f"{pace:8.0f} steps/s, {pace / ideal:.3f} of it (bar {BAR})")
        keep("thousand", whole=whole / ideal, pace=pace / ideal)
    line("processor time of the workers", f"{used / row['steps'] * 1e6:8.0f} µs a step")
    line("workers busy", f"{used / spent:8.0%} of a core, starts included")


def main() -> None:
    """Run on the loop that the platform uses."""
    options = argparse.ArgumentParser()
    options.add_argument("--sessions", type=int, default=1000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--work")
    chosen = options.parse_known_args()[0]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if chosen.work:
            runner.run(work(chosen.work, chosen.sessions))
            return
        title(f"{chosen.sessions:,} sessions at once, upstream delay {DELAY_SECONDS:g} s")
        runner.run(measure(chosen.sessions, chosen.workers))


if __name__ == "__main__":
    main()
