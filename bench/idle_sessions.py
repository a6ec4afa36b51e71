"""What 100,000 idle sessions cost those that work.

Two databases of one PostgreSQL: one with nothing else in it, one with the idle sessions, each of
them with its thread and a few events. The same busy sessions are driven in the one and in the other
by turns. Beside it: what the statements cost that look over all sessions, with and without them.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from shutil import rmtree
from statistics import median
from urllib.parse import urlsplit

import uvloop
from tests.support.places import temporary_dir

from agentstead.log.census import take_census
from agentstead.log.lease import EXPIRE
from agentstead.providers.catalogue import Catalogue
from agentstead.settings import Settings
from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.pool import Database
from bench.report import keep, line, title
from bench.steps import MODEL, SESSIONS, Bench, begun, scripted

STEPS = 20
ROUNDS = 7
BAR = 1.05

COPIES = """
    insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent,
        environment_id, environment, created_at, updated_at, status, stop_reason, usage, stats,
        head_seq, last_event_at, fence)
    select 'sesn_idle' || lpad(n::text, 20, '0'), workspace_id, 'sthr_idle' || lpad(n::text, 20, '0'),
        agent_id, agent_version, agent, environment_id, environment, created_at, updated_at, status,
        stop_reason, usage, stats, head_seq, last_event_at, fence
    from sessions, generate_series(1, %s) n where id = %s
"""
THREADS = """
    insert into threads (id, session_id, workspace_id, status, usage, stats, created_at, updated_at)
    select 'sthr_idle' || lpad(n::text, 20, '0'), 'sesn_idle' || lpad(n::text, 20, '0'), workspace_id,
        status, usage, stats, created_at, updated_at
    from threads, generate_series(1, %s) n where session_id = %s
"""
EVENTS = """
    insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence,
        payload, private)
    select 'sesn_idle' || lpad(n::text, 20, '0'), seq, id || n, workspace_id,
        'sthr_idle' || lpad(n::text, 20, '0'), type, primary_view, at, fence, payload, private
    from events, generate_series(1, %s) n where session_id = %s and seq <= 8
"""


async def fill(bench: Bench, idle: int) -> None:
    """So many sessions that have had their turn, copies of one that had."""
    catalogue = Catalogue(Settings(), providers={"scripted": scripted(1)})
    await bench.through_worker(catalogue, MODEL, 1)
    row = await bench.db.fetch_one("select id from sessions limit 1")
    assert row
    for sql in (COPIES, THREADS, EVENTS):
        await bench.db.execute(sql, (idle, row["id"]))
    for table in ("sessions", "threads", "events"):
        await bench.db.execute(f"vacuum analyze {table}")


async def took(ask: Callable[[], Awaitable[object]]) -> float:
    """Median milliseconds."""
    spent = []
    for _ in range(7):
        began = time.perf_counter()
        await ask()
        spent.append(time.perf_counter() - began)
    return median(spent) * 1000


async def looks(name: str, bench: Bench) -> None:
    """Print what it costs to look over all sessions."""
    db = bench.db
    claim = await took(lambda: bench.log.claim("nobody", 50))
    bury = await took(lambda: db.execute(EXPIRE, ("nobody",)))
    census = await took(lambda: take_census(db))
    line(
        f"{name}: claim, burial, census",
        f"{claim:.1f}, {bury:.1f}, {census:.1f} ms",
    )


async def measure(idle: int) -> None:
    """Measure and print."""
    folder = temporary_dir()
    postgres = EmbeddedPostgres(folder / "data")
    url = await postgres.start()
    try:
        alone = await begun(await Database.open(url))
        await alone.execute("create database crowded")
        there = urlsplit(url)._replace(path="/crowded").geturl()
        crowded = await begun(await Database.open(there))
        await compare(Bench(alone), Bench(crowded), idle)
        await alone.close()
        await crowded.close()
    finally:
        await postgres.stop()
        with suppress(OSError):
            rmtree(folder)


async def compare(alone: Bench, crowded: Bench, idle: int) -> None:
    """The same work here and there, by turns."""
    for bench in (alone, crowded):
        await bench.log.start()
    await fill(alone, 0)
    await fill(crowded, idle)
    catalogue = Catalogue(Settings(), providers={"scripted": scripted(STEPS)})
    times: dict[str, list[float]] = {"alone": [], "crowded": []}
    for number in range(ROUNDS + 1):
        both = (("alone", alone), ("crowded", crowded))
        for name, bench in both if number % 2 else both[::-1]:
            spent = await bench.through_worker(catalogue, MODEL, SESSIONS)
            if number:
                times[name].append(spent)
    for name, bench in (("without", alone), ("with", crowded)):
        await looks(name, bench)
    for bench in (alone, crowded):
        await bench.log.close()
    without, among = (SESSIONS * STEPS / median(times[name]) for name in times)
    line(f"{SESSIONS} sessions of {STEPS} steps, alone", f"{without:8.0f} steps/s")
    line(f"... beside {idle:,} idle ones", f"{among:8.0f} steps/s")
    ratio = median(
        among / alone for alone, among in zip(times["alone"], times["crowded"], strict=True)
    )
    line("slower by (median of the pairs)", f"{ratio:8.3f}   (bar {BAR})")
    keep("idle_sessions", ratio=ratio, alone=without, crowded=among)


def main() -> None:
    """Run on the loop that the platform uses."""
    options = argparse.ArgumentParser()
    options.add_argument("--idle", type=int, default=100_000)
    chosen = options.parse_known_args()[0]
    title(f"busy sessions beside {chosen.idle:,} idle ones")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(chosen.idle))


if __name__ == "__main__":
    main()
