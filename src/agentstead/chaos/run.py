"""A chaos run: start a platform, keep sessions busy, do harm for some minutes, let it settle, judge."""

import asyncio
import json
import random
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstead.chaos import disk
from agentstead.chaos.checker import Evidence, examine
from agentstead.chaos.driver import Account, Driver
from agentstead.chaos.faults import KINDS, Ground
from agentstead.chaos.listener import Listener
from agentstead.chaos.notes import Notes
from agentstead.chaos.place import Place
from agentstead.chaos.recovery import Recovery
from agentstead.chaos.remote import Json, Refused, Remote, Unanswered
from agentstead.chaos.report import Report
from agentstead.chaos.upstream import Upstream
from agentstead.clock import Clock

STUCK_SECONDS = 60.0
"""After the last fault."""
WAITING = ("retry", "client", "budget", "self_hosted_worker")
"""What a session may wait for, by `/why`, without counting as stuck."""
WAITING_SECONDS = 120.0
"""How long it may go on waiting so before the run ends without it."""
PAUSE_SECONDS = (0.5, 4.5)
"""Between two faults."""
CALM_SHARE = 0.5
"""Of all faults, those after which the next one waits for the sessions to go on; the others may come on top."""
CALM_SECONDS = 20.0
MODEL_TIMEOUT_SECONDS = 4
LOOK_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do."""

    seed: int
    seconds: float
    sessions: int = 12
    workers: int = 3
    servers: int = 2
    kinds: tuple[str, ...] = tuple(KINDS)
    folder: Path | None = None
    """Where the platform lives; None: a temporary folder. What is in `data` there is used."""


async def run(plan: Plan, clock: Clock, tell: Callable[[str], None]) -> Report:
    """Do it; the report. `tell` gets a line for each fault. SIGTERM cancels it, and leaves nothing behind."""
    me = asyncio.current_task()
    assert me is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, me.cancel)
    skipped = {name: why for name in plan.kinds if (why := KINDS[name].impossible())}
    kinds = [name for name in plan.kinds if name not in skipped]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(workroom(plan.folder))
        small = disk.small_disk(folder / "data") if "disk-full" in kinds else nullcontext()
        stack.enter_context(small)
        chaos = await stack.enter_async_context(prepared(plan, folder, clock))
        report = Report(plan.seed, skipped=skipped)
        began = clock.monotonic()
        await chaos.harm(kinds, report, tell)
        report.harm_seconds = clock.monotonic() - began
        tell("settling")
        stuck = await chaos.settle()
        report.settle_seconds = clock.monotonic() - began - report.harm_seconds
        await chaos.judge(report, stuck)
        if report.findings.bad:
            report.kept = str(keep(folder, chaos.seen))
        return report


class Chaos:
    """Everything of one run."""

    def __init__(self, plan: Plan, ground: Ground, notes: Notes) -> None:
        self.plan = plan
        self.ground = ground
        self.notes = notes
        self.driver = ground.driver
        self.clock = ground.clock
        self.seen: dict[str, Any] = {}
        """Name → what the API said of the session at the end."""

    async def harm(self, kinds: Sequence[str], report: Report, tell: Callable[[str], None]) -> None:
        """One fault after the other until the time is over."""
        rng, clock = random.Random(self.plan.seed), self.clock  # noqa: S311  a choice, not a secret
        drawn = 0
        until = clock.monotonic() + self.plan.seconds
        model_ended = 0.0
        weights = [KINDS[kind].weight for kind in kinds]
        await clock.sleep(min(1.0, self.plan.seconds / 4))
        while clock.monotonic() < until:
            kind = rng.choices(kinds, weights)[0]
            if kind.startswith("model-") and not self.rested(model_ended):
                await clock.sleep(LOOK_SECONDS)
                continue
            began = clock.monotonic()
            drawn += 1
            # a seed of its own: what one fault draws does not change the choice of the next
            self.ground.rng.seed(f"{self.plan.seed}:{drawn}")
            if await KINDS[kind].inject(self.ground, kind):
                report.faults[kind] += 1
                report.kills += KINDS[kind].kills
                ended = clock.monotonic()
                if kind.startswith("model-"):
                    model_ended = ended
                tell(f"{kind} ({ended - began:.1f} s), {len(self.driver.busy())} sessions at work")
            if rng.random() < CALM_SHARE:
                await self.recovered()
            await self.ground.wait(*PAUSE_SECONDS)

    def rested(self, model_ended: float) -> bool:
        """Whether every session has got an answer since: the promise is to outlast one outage, not several."""
        last = self.ground.recovery.last
        return all(last.get(name, 0.0) > model_ended for name in self.driver.accounts)

    async def recovered(self) -> None:
        """Until no session stands still any more, or for as long as one may."""
        until = self.clock.monotonic() + CALM_SECONDS
        while self.ground.recovery.waiting and self.clock.monotonic() < until:
            await self.clock.sleep(LOOK_SECONDS)

    async def settle(self) -> dict[str, str]:
        """Give no more jobs and wait for the ends of those that are; name → why it is stuck."""
        self.driver.giving = False
        ended = self.clock.monotonic()
        while self.driver.busy() and self.clock.monotonic() < ended + STUCK_SECONDS:
            await self.clock.sleep(LOOK_SECONDS)
        stuck: dict[str, str] = {}
        while waiting := [one for one in self.driver.busy() if one.name not in stuck]:
            whys = await self.driver.whys()
            late = self.clock.monotonic() > ended + STUCK_SECONDS + WAITING_SECONDS
            for account in waiting:
                why = whys.get(account.name, {"waiting_for": {"type": "no answer"}})
                if account.busy and (late or why["waiting_for"]["type"] not in WAITING):
                    stuck[account.name] = json.dumps(why)
            await self.clock.sleep(LOOK_SECONDS)
        return stuck

    async def judge(self, report: Report, stuck: Mapping[str, str]) -> None:
        """Collect the evidence and have it examined."""
        evidence = [await self.evidence(one, stuck) for one in self.driver.accounts.values()]
        ground, units = self.ground, self.ground.place.units
        report.sessions = len(evidence)
        report.findings = examine(evidence, ground.upstream.invalid)
        report.findings.untrue += [f"the client was refused: {one}" for one in self.driver.refused]
        report.recovery = dict(ground.recovery.seconds)
        report.slowest = ground.recovery.slowest
        report.overtaken = ground.recovery.overtaken
        report.requests = ground.upstream.requests
        report.disturbed = ground.upstream.disturbed
        report.unanswered = self.driver.unanswered
        report.leases_lost = units.counted("lease lost")
        report.surprises = units.surprises

    async def evidence(self, account: Account, stuck: Mapping[str, str]) -> Evidence:
        """All that is known of one session."""
        marks = self.ground.place.ledger(account.session_id)
        mine = {call.token for job in account.jobs for call in job.calls}
        marks += Counter({token: self.notes.marks[token] for token in mine})
        path = f"/v1/sessions/{account.session_id}"
        events: list[Json] | None = None
        with suppress(Refused):
            self.seen[account.name] = {"session": await self.ground.driver.remote.get(path)}
            listed = self.ground.driver.remote.pages(f"{path}/events", limit=1000)
            events = [event async for event in listed]
            self.seen[account.name] |= {"events": events, "marks": marks}
        unsure = account.jobs[-1].name if account.state == "sending" else ""
        return Evidence(
            account.name, account.jobs, events, marks, stuck.get(account.name, ""), unsure
        )

    async def tidy(self) -> None:
        """Delete the sessions, so that nothing stays of their sandboxes."""
        for account in self.driver.accounts.values():
            with suppress(Unanswered, Refused):
                await self.driver.remote.ask("DELETE", f"/v1/sessions/{account.session_id}")


@asynccontextmanager
async def prepared(plan: Plan, folder: Path, clock: Clock) -> AsyncIterator[Chaos]:
    """A platform at work, for as long as the block runs."""
    recovery, notes = Recovery(), Notes(clock)
    upstream = Upstream(plan.seed, clock, recovery.stepped)
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(Listener(upstream.answer))
        server = await stack.enter_async_context(Listener(notes.answer))
        settings = {
            "AGENTSTEAD_ANTHROPIC_API_KEY": "chaos",
            "AGENTSTEAD_ANTHROPIC_BASE_URL": model.url,
            "AGENTSTEAD_MODEL_TIMEOUT_SECONDS": str(MODEL_TIMEOUT_SECONDS),
            "AGENTSTEAD_OUTGOING_PRIVATE_NETWORKS": '["127.0.0.0/8"]',
        }
        place = await stack.enter_async_context(
            Place(folder, clock, workers=plan.workers, servers=plan.servers, settings=settings)
        )
        remote = Remote(place.urls, place.key)
        stack.push_async_callback(remote.close)
        driver = Driver(remote, plan.seed, clock, recovery.rests)
        await driver.begin(plan.sessions, f"{server.url}/mcp")
        rng = random.Random(plan.seed)  # noqa: S311  a choice, not a secret
        ground = Ground(place, driver, upstream, recovery, rng, clock)
        chaos = Chaos(plan, ground, notes)
        stack.push_async_callback(chaos.tidy)
        task = asyncio.create_task(driver.run(), name="driver")
        try:
            yield chaos
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@contextmanager
def workroom(folder: Path | None) -> Iterator[Path]:
    """A folder that the database's own user may pass through; a temporary one is removed."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    made = Path(tempfile.mkdtemp(prefix="agentstead-chaos-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def keep(folder: Path, seen: Mapping[str, Any]) -> Path:
    """Keep logs and sessions of a run that found something, where they can be read later."""
    kept = Path(tempfile.mkdtemp(prefix="agentstead-chaos-kept-"))
    shutil.copytree(folder / "logs", kept / "logs")
    log = folder / "data" / "postgres.log"
    if log.exists():
        shutil.copy(log, kept / "logs")
    for name, said in seen.items():
        (kept / f"{name}.json").write_text(json.dumps(said, indent=1))
    return kept
