"""Steps per second at 50 sessions, against the same loop that writes straight to PostgreSQL.

A step is one model request with one tool call, answered by a tool that does nothing. The platform:
worker, harness, scripted provider in the same process with delay 0, `EventLog` on PostgreSQL. The
straight loop (`bench/straight.py`): the same provider, tool and rows, with group commit and nothing
else. To see where the time goes, the very same appends (recorded from the platform's run) are also
made through `EventLog` with nobody thinking. Beside it: the same through the `anthropic` adapter
and a false HTTP upstream.
"""

import asyncio
import cProfile
import pstats
import resource
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import uvloop
from tests.support.places import temporary_dir

from agentstead.app.rooms import limits_of, pace_of
from agentstead.clock import SystemClock
from agentstead.ids import EVENT, SESSION, THREAD, RandomIds
from agentstead.log.event_log import EventLog
from agentstead.log.log import Appended, Derived, Incoming, Lease, NewSession, Park
from agentstead.providers.catalogue import Catalogue
from agentstead.providers.provider import Provider
from agentstead.providers.scripted import Scripted
from agentstead.providers.scripted.scenario import scenario
from agentstead.resources.budgets.reserving import Reservations
from agentstead.sandbox.sandbox import Outcome
from agentstead.settings import Settings
from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.migrate import migrate
from agentstead.store.pool import Database
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.tools.tool import Effect, Tool, ToolCall
from agentstead.wire.events.stored import Event
from agentstead.worker.loop import Worker
from agentstead.worker.world import World
from bench.report import keep, line, title
from bench.straight import straight
from bench.upstream import upstream

SESSIONS = 50
STEPS = 40
ROUNDS = 3
MODEL = "scripted-demo"
WORKSPACE = "wrkspc_bench"
TOOL = "bash"
"""The bench's tool stands under a built-in name, because agents can only have those."""
AGENT: Mapping[str, Any] = {
    "id": "agent_bench", "type": "agent", "version": 1, "name": "bench", "description": None,
    "system": "You measure.", "mcp_servers": [], "skills": [], "multiagent": None,
    "execution_identity": {"type": "service_account"},
    "tools": [
        {
            "type": "agent_toolset_20260401", "configs": [],
            "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}},
        }
    ],
}  # fmt: skip
ENVIRONMENT = {
    "id": "env_bench",
    "type": "environment",
    "name": "bench",
    "config": {"type": "cloud"},
}


async def nothing(call: ToolCall) -> Outcome:
    """The tool."""
    return Outcome.text(f"did {call.id[-4:]}")


def tools() -> dict[str, Tool]:
    """The one tool."""
    schema = {"type": "object", "properties": {"command": {"type": "string"}}}
    return {TOOL: Tool(TOOL, "Does nothing.", schema, Effect.READ, nothing)}


@dataclass
class Recorded:
    """One append of a session, to be repeated by the bare loop."""

    entries: tuple[Event, ...]
    take: int
    derived: Derived
    park: Park | None


@dataclass
class Recorder:
    """The log, remembering the appends of the first session it sees."""

    log: EventLog
    session_id: str | None = None
    appends: list[Recorded] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the log's."""
        return getattr(self.log, name)

    async def append(
        self, lease: Lease, entries: Sequence[Event], *, seen: int, take: Sequence[str] = (),
        derived: Derived, park: Park | None = None,
    ) -> Appended:  # fmt: skip
        """Append, and remember."""
        self.session_id = self.session_id or lease.session_id
        if lease.session_id == self.session_id:
            self.appends.append(Recorded(tuple(entries), len(take), derived, park))
        return await self.log.append(
            lease, entries, seen=seen, take=take, derived=derived, park=park
        )


@asynccontextmanager
async def database() -> AsyncIterator[Database]:
    """An embedded PostgreSQL of the bench's own."""
    folder = temporary_dir()
    postgres = EmbeddedPostgres(folder / "data")
    opened = await Database.open(await postgres.start())
    try:
        yield await begun(opened)
    finally:
        await opened.close()
        await postgres.stop()
        rmtree(folder, ignore_errors=True)


async def begun(db: Database) -> Database:
    """A database with its tables and the bench's workspace."""
    await migrate(db)
    await db.execute(
        "insert into workspaces (id, name) values (%s, 'bench') on conflict do nothing",
        (WORKSPACE,),
    )
    return db


class Bench:
    """Sessions on one log, and the ways to drive them."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.clock = SystemClock()
        self.ids = RandomIds(self.clock)
        self.log = EventLog(db, ids=self.ids, clock=self.clock)
        self.recorded: list[Recorded] = []

    async def begin(self, model: str, sessions: int = SESSIONS) -> list[str]:
        """Make the sessions, each with a message that waits; their ids."""
        made = []
        for _ in range(sessions):
            payload = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
            incoming_id, session_id = self.ids.new(EVENT), self.ids.new(SESSION)
            payload = {"id": incoming_id, **payload, "processed_at": None}
            await self.log.create(
                NewSession(
                    id=session_id, workspace_id=WORKSPACE, primary_thread_id=self.ids.new(THREAD),
                    agent_id="agent_bench", agent_version=1,
                    agent=AGENT | {"model": {"id": model, "speed": "standard", "effort": {"type": "high"}}},
                    environment_id="env_bench", environment=ENVIRONMENT, title=None, metadata={},
                    resources=(), vault_ids=(), created_at=self.clock.now(),
                    incoming=(Incoming(incoming_id, "user.message", None, payload),),
                )
            )  # fmt: skip
            made.append(session_id)
        return made

    @asynccontextmanager
    async def budget(self) -> AsyncIterator[None]:
        """A budget above all sessions, which is never used up."""
        await self.db.execute(
            "insert into budgets (id, workspace_id, name, scope, period, max_tokens, starts_at,"
            " created_at, updated_at) values ('budget_bench', %s, 'bench', 'workspace', 'total',"
            " 1000000000000, now(), now(), now())",
            (WORKSPACE,),
        )
        yield
        await self.db.execute("update budgets set archived_at = now()")

    def world(self, catalogue: Catalogue, log: Any) -> World:
        """The real worker's world, with a tool that does nothing."""
        return World(
            log=log, previews=self.log, models=catalogue, sandbox=FakeSandbox(self.clock), tools=tools(),
            clock=self.clock, ids=self.ids, limits=limits_of(Settings()), pace=pace_of(Settings()),
            budgets=Reservations(self.db, self.clock),
        )  # fmt: skip

    async def through_worker(
        self, catalogue: Catalogue, model: str, sessions: int = SESSIONS
    ) -> float:
        """Seconds until a worker has driven all sessions to idle."""
        made = await self.begin(model, sessions)
        recorder = Recorder(self.log)
        worker = Worker(self.world(catalogue, recorder), "bench")
        began = time.perf_counter()
        task = asyncio.create_task(worker.run())
        await self.until_idle(made, task)
        spent = time.perf_counter() - began
        await worker.stop()
        await task
        self.recorded = recorder.appends
        return spent

    async def until_idle(
        self, made: Sequence[str], task: "asyncio.Future[None]", every: float = 0.02
    ) -> None:
        """Look every so many seconds whether all are done."""
        sql = "select count(*) as busy from sessions where id = any(%s) and status <> 'idle'"
        while True:
            row = await self.db.fetch_one(sql, (list(made),))
            assert not task.done(), task.result()
            if row is not None and row["busy"] == 0:
                return
            await asyncio.sleep(every)

    async def straight(self, provider: Provider, model: str) -> float:
        """Seconds of the same loop straight to PostgreSQL; its rows must be the worker's."""
        spots = [(WORKSPACE, self.ids.new(SESSION), self.ids.new(THREAD)) for _ in range(SESSIONS)]
        agent = AGENT | {"model": {"id": model}}
        spent = await straight(self.db, agent, provider, model, tools(), spots)
        rows = await self.db.fetch(
            "select type from events where session_id = %s order by seq", (spots[0][1],)
        )
        written = [event.type for one in self.recorded for event in one.entries]
        assert [row["type"] for row in rows] == written, "the straight loop writes other rows"
        return spent

    async def replayed(self) -> float:
        """Seconds of the same appends through `EventLog` with nobody thinking."""
        made = await self.begin(MODEL)
        began = time.perf_counter()
        leases: list[Lease] = []
        while len(leases) < len(made):
            leases += await self.log.claim("bare", SESSIONS)
        beat = asyncio.create_task(self.beat(leases))
        await asyncio.gather(*(self.replay(lease) for lease in leases))
        spent = time.perf_counter() - began
        beat.cancel()
        with suppress(asyncio.CancelledError):
            await beat
        return spent

    async def beat(self, leases: Sequence[Lease]) -> None:
        """Renew the leases, as a worker does."""
        while True:
            await asyncio.sleep(1.0)
            await self.log.heartbeat(leases)

    async def replay(self, lease: Lease) -> None:
        """One session's appends."""
        record = await self.log.load(lease)
        waiting = [pending.id for pending in record.inbox]
        thread = record.primary_thread_id
        seen = 0
        for one in self.recorded:
            take, waiting = waiting[: one.take], waiting[one.take :]
            fresh = iter(take)
            entries = [
                renewed(event, next(fresh, None) or self.ids.new(EVENT), thread, self.clock.now())
                for event in one.entries
            ]
            threads = tuple(replace(row, id=thread) for row in one.derived.threads)
            derived = replace(one.derived, threads=threads)
            park = one.park and replace(one.park, known=frozenset())
            done = await self.log.append(
                lease, entries, seen=seen, take=take, derived=derived, park=park
            )
            seen += len(done.events)


def renewed(event: Event, new_id: str, thread_id: str, at: float) -> Event:
    """The same event for another session."""
    return replace(
        event, id=new_id, thread_id=thread_id, at=at, payload={**event.payload, "id": new_id}
    )


def scripted(steps: int = STEPS, delay_seconds: float = 0.0) -> Scripted:
    """The scripted provider: so many calls, then a text; each answer after the delay."""
    call = {"tools": [{"name": TOOL, "input": {"command": "true"}}]}
    turns = [call] * steps + [{"text": "done"}]
    delays = {"first_seconds": delay_seconds}
    return Scripted(scenario({"delays": delays, "scripts": [{"turns": turns}]}))


def room(file: str) -> str:
    """Which part of the platform a source file belongs to."""
    parts = Path(file).parts
    if "agentstead" in parts and "site-packages" not in parts:
        return parts[len(parts) - parts[::-1].index("agentstead")]
    for known in ("psycopg", "asyncio", "json", "anthropic", "httpx2", "pydantic"):
        if known in parts or any(part.startswith(known) for part in parts):
            return known
    return "interpreter and loop" if file.startswith(("~", "<")) else "other"


def shares(profile: cProfile.Profile) -> Iterable[tuple[str, float]]:
    """Share of the process's own time per part of the platform."""
    spent: dict[str, float] = defaultdict(float)
    for (file, _, _), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        known = [(room(caller[0]), row[2]) for caller, row in callers.items()]
        if room(file) == "interpreter and loop" and known:
            for name, part in known:  # a builtin's time belongs to who called it
                spent[name] += part
        else:
            spent[room(file)] += own
    total = sum(spent.values())
    return [
        (name, part / total) for name, part in Counter(spent).most_common() if part / total > 0.02
    ]


async def profiled(bench: Bench, catalogue: Catalogue) -> None:
    """Print where the time of the worker's process goes."""
    profile = cProfile.Profile()
    before = resource.getrusage(resource.RUSAGE_SELF)
    profile.enable()
    spent = await bench.through_worker(catalogue, MODEL)
    profile.disable()
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    line("worker process busy (while profiled)", f"{used / spent:.0%} of one core")
    for name, share in shares(profile):
        line(f"    {name}", f"{share:6.1%} of its time")


async def measure() -> None:
    """Measure and print."""
    steps = SESSIONS * STEPS
    async with database() as db:
        bench = Bench(db)
        await bench.log.start()
        provider = scripted()
        catalogue = Catalogue(Settings(), providers={"scripted": provider})
        await bench.through_worker(catalogue, MODEL)
        rounds = [
            (
                await bench.through_worker(catalogue, MODEL),
                await bench.straight(provider, MODEL),
                await bench.replayed(),
            )
            for _ in range(ROUNDS)
        ]
        worker, straight_, log = (median(one[side] for one in rounds) for side in range(3))
        appends = len(bench.recorded) * SESSIONS
        line("through the worker", f"{steps / worker:8.0f} steps/s")
        line("the same loop straight to PostgreSQL", f"{steps / straight_:8.0f} steps/s")
        line("ratio (worker / straight)", f"{straight_ / worker:8.2f}")
        line("the same appends to the log, no loop", f"{steps / log:8.0f} steps/s")
        line("ratio (worker / log alone)", f"{log / worker:8.2f}")
        line("appends per step", f"{appends / steps:8.2f}")
        line(
            "time per step in the worker",
            f"{worker / steps * 1e6:8.0f} µs, of it the log {log / steps * 1e6:.0f} µs "
            f"(straight: {straight_ / steps * 1e6:.0f} µs in all)",
        )
        async with bench.budget():
            above = median([await bench.through_worker(catalogue, MODEL) for _ in range(ROUNDS)])
        line("with one budget above all sessions", f"{steps / above:8.0f} steps/s")
        line("ratio (with it / without)", f"{worker / above:8.2f}")
        await profiled(bench, catalogue)
        with upstream(0.0, tool=TOOL, steps=STEPS) as url:
            settings = Settings(anthropic_api_key="bench", anthropic_base_url=url)  # type: ignore[arg-type]
            over_http = Catalogue(settings)
            spent = await bench.through_worker(over_http, "claude-sonnet-5-5")
            await over_http.close()
        line("through the anthropic adapter and HTTP", f"{steps / spent:8.0f} steps/s")
        keep(
            "steps",
            worker=steps / worker,
            straight=steps / straight_,
            log=steps / log,
            ratio=straight_ / worker,
            ratio_log=log / worker,
            ratio_budget=worker / above,
            http=steps / spent,
        )
        await bench.log.close()


def main() -> None:
    """Run on the loop that the platform uses."""
    title(f"steps per second, {SESSIONS} sessions of {STEPS} steps")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(measure())


if __name__ == "__main__":
    main()
