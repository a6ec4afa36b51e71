"""A false world, whole: one seed decides everything that happens in it.

Holds the doubles, starts worker processes and puts new ones in the place of dead ones, runs the
clients of a scenario, lets faults stop, waits until everything has settled, and has it checked.
The first violation ends the run at once.
"""

import asyncio
from dataclasses import dataclass, field, replace
from random import Random

import structlog

from agentstead.log.log import NewSession
from agentstead.sandbox.sandbox import Limits
from agentstead.testing.clock import LoopClock
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.testing.fake_servers import FakeServers
from agentstead.testing.ids import SeededIds
from agentstead.testing.memory_log import MemoryLog
from agentstead.testing.script import Script, ScriptedModels
from agentstead.tools.tool import Effect, Tool
from agentstead.worker.loop import Worker
from agentstead.worker.turn import Turn
from agentstead.worker.world import Pace
from agentstead.worker.world import World as Ports
from tests.simulation import checks
from tests.simulation.fairness import Crowd
from tests.simulation.faults import STANDING, Calm, Killed, Process
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.notices import Notices, through
from tests.simulation.ports import (
    GatedClock,
    GatedFiles,
    GatedLog,
    GatedModels,
    GatedPreviews,
    GatedRepositories,
    GatedSandbox,
    GatedServers,
)
from tests.simulation.repositories import Checkouts
from tests.simulation.scenarios import JUDGE, TOOLS_OFFERED, Scenario
from tests.simulation.violation import Violation

SETTLE_SECONDS = 120.0
"""After the last fault, everything must have settled within so long."""
PACE = Pace()


def tool(name: str) -> Tool:
    """A tool of the simulation: one call of the sandbox under the call's own id."""

    async def run(call):
        return await call.sandbox.call(call.session_id, call.spec, call.id, name, call.input)

    return Tool(name, f"Run {name}.", {"type": "object"}, Effect.WRITE, run)


TOOLS = {name: tool(name) for name in TOOLS_OFFERED}


@dataclass(frozen=True)
class Doubles:
    """The classes a world is made of; a planted bug replaces one."""

    log: type = MemoryLog
    sandbox: type = FakeSandbox
    script: type = Script
    servers: type = FakeServers
    repositories: type = Checkouts


PLAIN = Doubles()


@dataclass(frozen=True)
class Line:
    """One line of the trace."""

    at: float
    process: str
    name: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.at:9.3f}  {self.process:<8} {self.name:<16} {self.what:<16} {self.detail}"


@dataclass
class SimWorld:
    """One run."""

    seed: int
    scenario: object
    faults: object = field(default_factory=Calm)
    doubles: Doubles = PLAIN
    workers: int = 2
    notices: Notices | None = None
    """The way of the notices; None: each comes at once, to all, and once."""
    crowd: Crowd = field(default_factory=Crowd)
    trace: list[Line] = field(default_factory=list)
    points: int = 0
    kills: int = 0
    calm: bool = False
    broken: Violation | None = None
    processes: int = 0

    def __post_init__(self) -> None:
        self.rng = Random(self.seed)
        self.loop = SimLoop(self.rng)
        self.loop.set_exception_handler(self.unhandled)
        self.clock = LoopClock(self.loop)
        self.ids = SeededIds(self.clock, self.rng)
        self.log = self.doubles.log(self.clock, ids=self.ids)
        self.log.shares = self.crowd.shares
        if self.notices is not None:
            through(self.log, self.notices)
        self.sandbox = self.doubles.sandbox(self.clock, self.behave)
        self.handed = {}
        """Session → the outputs that were handed over last; None: that went wrong."""
        self.scripts = {
            name: self.doubles.script(
                self.clock, source, name=name, price=self.scenario.price(name)
            )
            for name, source in self.scenario.models(self).items()
        }
        self.models = ScriptedModels(self.scripts)
        self.servers = self.doubles.servers(self.clock, self.scenario.listing, self.scenario.react)
        self.checkouts = self.doubles.repositories(self.clock, self.scenario.repositories)
        crowded = {"sessions_max": self.crowd.sessions_max} if self.crowd.sessions_max else {}
        self.pace = replace(PACE, **self.scenario.pace, drain_seconds=self.crowd.drain_seconds)
        self.pace = replace(self.pace, **crowded)
        self.watch = checks.Watch(self)
        self.clients = []
        self.any_ports = Ports(
            self.log,
            self.log,
            self.models,
            self.sandbox,
            TOOLS,
            self.clock,
            self.ids,
            Limits(),
            self.pace,
        )
        """For folding outside of any process."""

    # what happens in it

    @property
    def troubled(self) -> bool:
        """Whether anything has gone wrong, or anybody was stopped or interrupted."""
        plain = isinstance(self.scenario, Scenario) and isinstance(self.faults, Calm)
        return not plain or self.processes > self.workers

    def latency(self) -> float:
        """How long a port call takes when nothing is wrong."""
        return self.rng.random() * self.scenario.latency

    def behave(self, call):
        """As the scenario wants it; each call leaves an output with its own name."""
        return replace(self.scenario.behave(call), writes={call.call_id: b""})

    def draw(self, name: str):
        """The fault of this port call, if any; calls are numbered from 1."""
        if name not in STANDING:
            self.points += 1
        if self.calm and self.faults.end_with_calm:
            return None
        return self.faults.draw(name, -1 if name in STANDING else self.points)

    def tell(self, process, name: str, what: str, detail: str = "") -> None:
        """One line of the trace."""
        self.trace.append(Line(self.loop.time(), process.name, name, what, detail))

    def say(self, client, name: str, detail: str = "") -> None:
        """One line of the trace about a client."""
        line = Line(self.loop.time(), f"c{client.session_id[-4:]}", name, "", detail)
        self.trace.append(line)

    def silent(self) -> set[str]:
        """Calls that no client will ever answer."""
        return {call for client in self.clients for call in client.ignored}

    def will_raise(self, session_id: str) -> bool:
        """Whether the session's client makes room when its budget stops it."""
        return any(c.will_raise for c in self.clients if c.session_id == session_id)

    async def race(self, kind: str, session_id: str) -> None:
        """A client of this session gets in right before an append."""
        for client in self.clients:
            if client.session_id == session_id:
                await client.get_in(kind)

    def guard(self, check, *arguments) -> None:
        """Run a check; what it finds ends the run."""
        try:
            check(*arguments)
        except AssertionError as error:
            self.violate(error)
            raise

    def violate(self, error: BaseException) -> None:
        """Something is wrong: end the run now, with the first finding."""
        if self.broken is None:
            self.broken = error if isinstance(error, Violation) else Violation(repr(error))
            self.broken.__cause__ = error if error is not self.broken else None
        if not self.ended.done():
            self.ended.set_result(None)

    def unhandled(self, _loop, context) -> None:
        """What the loop could not give to anybody."""
        error = context.get("exception")
        if isinstance(error, Killed) or only_killed(error):
            return
        self.violate(error or Violation(context["message"]))

    # processes

    def ports(self, process) -> Ports:
        """The world as this process sees it."""
        return Ports(
            log=GatedLog(process, self.log),
            previews=GatedPreviews(process, self.log),
            models=GatedModels(process, self.models),
            sandbox=GatedSandbox(process, self.sandbox),
            tools=TOOLS,
            clock=GatedClock(process, self.clock),
            ids=self.ids,
            limits=Limits(),
            pace=self.pace,
            servers=GatedServers(process, self.servers),
            files=GatedFiles(process, self.handed),
            repositories=GatedRepositories(process, self.checkouts),
            judge_model=JUDGE if self.scenario.judged else None,
        )

    async def keep_running(self, number: int) -> None:
        """One worker after the other, as an operator's supervisor would."""
        while True:
            self.processes += 1
            process = Process(self, f"w{number}.{self.processes}")
            worker = WatchedWorker(self, process)
            task = self.loop.create_task(worker.run(), name=process.name)
            ends = {task, process.died}
            served = await self.serve(ends)
            if not served:
                await worker.stop()
                seconds = 60 + 3 * self.pace.drain_seconds
                await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if process.dead:
                await asyncio.sleep(self.rng.random() * 2)
                continue
            error = task.exception() if task.done() and not task.cancelled() else None
            if served or error or not task.done():
                self.violate(Violation(f"worker {process.name} ended by itself: {error!r}"))
                return

    async def serve(self, ends) -> bool:
        """Whether the worker has ended; False when an operator wants it stopped, for an upgrade."""
        stops = self.rng.random() < self.scenario.rate_stop and not self.calm
        seconds = self.rng.random() * 20 if stops else None
        done, _ = await asyncio.wait(ends, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)

    async def lose_sandboxes(self) -> None:
        """Now and then a sandbox's supervisor dies."""
        while not self.calm:
            await asyncio.sleep(self.rng.random() * 20)
            if self.rng.random() < self.scenario.rate_loss and self.sandbox.journals:
                lost = self.rng.choice(list(self.sandbox.journals))
                self.trace.append(Line(self.loop.time(), "sandbox", "lost", "", lost[-4:]))
                self.sandbox.lose(lost)

    # a run

    async def live(self) -> None:
        """Workers, clients, then calm, then everything must settle."""
        for number in range(self.workers):
            self.loop.create_task(self.keep_running(number))
        self.clients = await self.scenario.begin(self)
        if self.scenario.rate_loss:
            self.loop.create_task(self.lose_sandboxes())
        async with asyncio.TaskGroup() as group:
            for client in self.clients:
                group.create_task(client.run())
        self.calm = True
        await self.settle()
        for check in checks.AT_THE_END:
            check(self)

    async def settle(self) -> None:
        """Wait until every session waits for a reason."""
        end = self.loop.time() + SETTLE_SECONDS
        while why := checks.unsettled(self):
            if self.loop.time() > end:
                raise Violation(f"not settled after {SETTLE_SECONDS:g} s: {why}")
            await asyncio.sleep(1.0)

    async def until_violated(self) -> None:
        """The scenario, or the first violation."""
        self.ended = self.loop.create_future()
        life = self.loop.create_task(self.live())
        with Silence(), Folded(self):
            await asyncio.wait({life, self.ended}, return_when=asyncio.FIRST_COMPLETED)
        if self.broken is None and life.done():
            life.result()

    def run(self) -> "SimWorld":
        """Run it to its end; the first violation is in `broken`."""
        try:
            self.loop.run_until_complete(self.until_violated())
        except* (AssertionError, Stuck) as group:
            if self.broken is None:
                error = first(group)
                self.broken = error if isinstance(error, Violation) else Violation(repr(error))
                self.broken.__cause__ = error if error is not self.broken else None
        finally:
            self.clear()
        return self

    def clear(self) -> None:
        """Leave no task behind."""
        self.loop.set_exception_handler(lambda *_: None)
        for _ in range(20):
            tasks = asyncio.all_tasks(self.loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(tasks, timeout=1))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    async def create(self, new: NewSession) -> None:
        """A session, as the door creates it."""
        await self.log.create(new)


class WatchedWorker(Worker):
    """The product's worker; a turn that crashes ends the run, where in production it is tried again."""

    def __init__(self, sim: SimWorld, process: Process) -> None:
        super().__init__(sim.ports(process), process.name)
        self.sim = sim

    def crashed(self, session_id: str, error: Exception) -> None:
        self.sim.violate(error)


class Silence:
    """The product's own log is not shown: the trace tells more."""

    def __enter__(self) -> None:
        self.before = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))

    def __exit__(self, *_) -> None:
        structlog.configure(**self.before)


class Folded:
    """Each state that a worker goes on with is compared with the log."""

    def __init__(self, sim: SimWorld) -> None:
        self.sim = sim

    def __enter__(self) -> None:
        self.original = Turn.caught_up

        def caught_up(turn, *arguments):
            state = self.original(turn, *arguments)
            self.sim.guard(self.sim.watch.caught_up, state)
            return state

        Turn.caught_up = caught_up

    def __exit__(self, *_) -> None:
        Turn.caught_up = self.original


def only_killed(error) -> bool:
    """Nothing but deaths in a group of exceptions."""
    if isinstance(error, BaseExceptionGroup):
        return all(only_killed(each) for each in error.exceptions)
    return isinstance(error, Killed)


def first(group: BaseExceptionGroup) -> BaseException:
    """The first exception in a group."""
    error = group.exceptions[0]
    return first(error) if isinstance(error, BaseExceptionGroup) else error
