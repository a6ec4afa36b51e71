"""How long sessions stand still when one of two workers is killed, and when it is frozen.

A platform of its own (`agentstead.chaos`): two worker processes, a model upstream over HTTP, real
sandboxes and an MCP server; tool calls are short. From the fault to each session's next request to the model that is
answered; what is left of a tool call that runs meanwhile is part of it.
"""

import asyncio
import os
import signal
from pathlib import Path

import uvloop

from agentstead.chaos import jobs, processes
from agentstead.chaos.recovery import percentiles
from agentstead.chaos.run import Chaos, Plan, prepared, workroom
from agentstead.chaos.units import Unit
from agentstead.clock import SystemClock
from bench.report import keep, line, title

SESSIONS = 16
KILLS = 10
FREEZES = 3
CALL_SECONDS = (0.02, 0.1)
"""Of a tool call: what is left of one that runs is no standstill."""
FROZEN_SECONDS = 8.0
"""Longer than the lease, and than what is measured."""
PATIENCE_SECONDS = 30.0


async def ready(chaos: Chaos) -> None:
    """Both workers are there, and nobody stands still any more."""
    units = chaos.ground.place.units
    await units.until(lambda: all(map(units.ready, units.all.values())), "Both workers")
    await asyncio.sleep(2.0)


async def busiest(chaos: Chaos) -> tuple[Unit, list[str]]:
    """The worker with most sessions, and those."""
    workers = chaos.ground.place.units.named("worker")
    owned = [(worker, await chaos.ground.of(worker)) for worker in workers]
    return max(owned, key=lambda one: len(one[1]))


async def all_measured(chaos: Chaos) -> None:
    """Until each session that was concerned has taken its next step."""
    waited = 0.0
    while chaos.ground.recovery.waiting and waited < PATIENCE_SECONDS:
        await asyncio.sleep(0.1)
        waited += 0.1
    assert not chaos.ground.recovery.waiting, "a session stands still"


async def measure(folder: Path) -> tuple[list[float], list[float], list[float]]:
    """Seconds after kills, after freezes, and between steps that nothing disturbed."""
    jobs.SECONDS = CALL_SECONDS
    plan = Plan(seed=1, seconds=0, sessions=SESSIONS, workers=2, servers=1)
    async with prepared(plan, folder, SystemClock()) as chaos:
        for _ in range(KILLS):
            await ready(chaos)
            worker, names = await busiest(chaos)
            chaos.ground.place.units.kill(worker)
            chaos.ground.concerns("kill", names)
            await all_measured(chaos)
        for _ in range(FREEZES):
            await ready(chaos)
            worker, names = await busiest(chaos)
            pid = worker.pid
            processes.send(pid, signal.SIGSTOP)
            chaos.ground.concerns("freeze", names)
            await asyncio.sleep(FROZEN_SECONDS)
            processes.send(pid, signal.SIGCONT)
            await all_measured(chaos)
        seconds = chaos.ground.recovery.seconds
        return seconds["kill"], seconds["freeze"], chaos.ground.recovery.calm


def main() -> None:
    """Measure and print."""
    title("next step after the loss of one of two workers (bars, p95: killed 1.5 s, frozen 6 s)")
    line("load average at the start", f"{os.getloadavg()[0]:.1f}")
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    with workroom(None) as folder, runner:
        killed, frozen, calm = runner.run(measure(folder))
    for name, times in (("killed", killed), ("frozen", frozen), ("undisturbed steps", calm)):
        p50, p95, p99 = percentiles(times) or (0.0, 0.0, 0.0)
        line(name, f"p50 {p50:5.2f} s   p95 {p95:5.2f} s   p99 {p99:5.2f} s   (n={len(times)})")
        keep(f"failover_{name.partition(' ')[0]}", p50=p50, p95=p95)


if __name__ == "__main__":
    main()
