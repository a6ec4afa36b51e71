"""Step 10,000 of one session against step 100: what a long session costs.

One session of one turn, driven by the real worker on PostgreSQL with the scripted provider in
process; every tool call's result comes after the one before. The figures are medians of the time
between two results, over a window of steps. Beside the early steps of the same session stand those
of a new session after the long one: the machine may have become slower meanwhile.
"""

import argparse
import asyncio
import time
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import Any

import uvloop

from agentstead.providers.catalogue import Catalogue
from agentstead.providers.provider import Capabilities
from agentstead.providers.scripted import Scripted
from agentstead.providers.scripted.scenario import scenario
from agentstead.sandbox.sandbox import Outcome
from agentstead.settings import Settings
from agentstead.tools.tool import Effect, Tool, ToolCall
from agentstead.worker.loop import Worker
from bench.report import keep, line, title
from bench.steps import MODEL, TOOL, Bench, database, tools

EARLY = 100
WINDOW = 100
BAR = 1.2
WALL, PROCESS = 0, 1


class Patient(Scripted):
    """The scripted model with room for a conversation of any length."""

    def capabilities(self, model: str) -> Capabilities:
        """As many tokens as it takes."""
        return replace(super().capabilities(model), context_window=1 << 40)


def patient(steps: int) -> Patient:
    """So many calls, then a text."""
    call = {"tools": [{"name": TOOL, "input": {"command": "true"}}], "text": "Step {{user}}."}
    return Patient(scenario({"scripts": [{"turns": [call] * steps + [{"text": "done"}]}]}))


class Watch:
    """When each call ran."""

    def __init__(self) -> None:
        self.times: list[tuple[float, float]] = []

    async def note(self, call: ToolCall) -> Outcome:
        """The tool."""
        self.times.append((time.perf_counter(), time.process_time()))
        return Outcome.text(f"did {call.id[-4:]}")

    def step(self, number: int, clock: int = WALL) -> float:
        """Median seconds of the steps around this one."""
        first = max(number - WINDOW // 2, 1)
        around = [both[clock] for both in self.times[first - 1 : first + WINDOW]]
        return median(after - before for before, after in pairwise(around))


async def drive(bench: Bench, steps: int) -> Watch:
    """One session of so many steps."""
    watch = Watch()
    world = bench.world(Catalogue(Settings(), providers={"scripted": patient(steps)}), bench.log)
    offered: dict[str, Any] = {
        TOOL: Tool(TOOL, tools()[TOOL].description, {"type": "object"}, Effect.READ, watch.note)
    }
    worker = Worker(replace(world, tools=offered), "bench")
    made = await bench.begin(MODEL, 1)
    task = asyncio.create_task(worker.run())
    await bench.until_idle(made, task)
    await worker.stop()
    await task
    assert len(watch.times) == steps, f"{len(watch.times)} calls instead of {steps}"
    return watch


async def measure(steps: int) -> float:
    """Measure and print; the ratio."""
    async with database() as db:
        bench = Bench(db)
        await bench.log.start()
        await drive(bench, 2 * EARLY)
        long = await drive(bench, steps)
        fresh = await drive(bench, 2 * EARLY)
        await bench.log.close()
    late = steps - WINDOW // 2
    for mark in sorted({EARLY, steps // 10, steps // 4, steps // 2, late}):
        line(f"step {mark:,}", shown(long, mark))
    line(f"step {EARLY} of a new session afterwards", shown(fresh, EARLY))
    ratio, busy = (
        2 * long.step(late, clock) / (long.step(EARLY, clock) + fresh.step(EARLY, clock))
        for clock in (WALL, PROCESS)
    )
    line(f"ratio step {steps:,} / step {EARLY}", f"{ratio:8.2f}   (bar {BAR})")
    line("... of the worker's processor time", f"{busy:8.2f}")
    keep("long_session", ratio=ratio, busy=busy, late=long.step(late))
    return ratio


def shown(watch: Watch, number: int) -> str:
    """A step's times."""
    wall, process = (watch.step(number, clock) * 1e6 for clock in (WALL, PROCESS))
    return f"{wall:8.0f} µs, of the worker's processor {process:6.0f} µs"


def main() -> None:
    """Run on the loop that the platform uses."""
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=10_000)
    chosen = options.parse_known_args()[0]
    title(f"step {chosen.steps:,} of a session against step {EARLY}")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure(chosen.steps))


if __name__ == "__main__":
    main()
