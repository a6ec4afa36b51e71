"""The faults: each kind is a function and its line in the table. A choice is drawn from the run's seed."""

import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from agentstead.chaos import disk, processes
from agentstead.chaos.driver import Driver
from agentstead.chaos.place import Place
from agentstead.chaos.recovery import Recovery
from agentstead.chaos.units import Unit
from agentstead.chaos.upstream import Mode, Upstream
from agentstead.clock import Clock

LEASE_SECONDS = 5.0
"""Of the platform's defaults: who is silent for longer has lost its sessions."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What faults are made with."""

    place: Place
    driver: Driver
    upstream: Upstream
    recovery: Recovery
    rng: random.Random
    clock: Clock

    def everybody(self) -> list[str]:
        """Sessions with work to do."""
        return [account.name for account in self.driver.busy()]

    async def of(self, unit: Unit) -> list[str]:
        """The sessions that a worker has, as `/why` says."""
        whys = await self.driver.whys()
        owners = {name: (why["lease"] or {}).get("owner", "") for name, why in whys.items()}
        return [name for name, owner in owners.items() if str(unit.pid) in owner.split(":")]

    async def wait(self, least: float, most: float) -> None:
        """Some time between the two."""
        await self.clock.sleep(self.rng.uniform(least, most))

    def concerns(self, kind: str, names: list[str], at: float | None = None) -> None:
        """These sessions stand still from now on, or from then."""
        self.recovery.hit(kind, names, self.clock.monotonic() if at is None else at)


Inject = Callable[[Ground, str], Awaitable[bool]]
"""Does it; whether there was anything to do it to."""


async def kill_worker(ground: Ground, kind: str) -> bool:
    """SIGKILL a worker."""
    workers = ground.place.units.named("worker")
    if not workers:
        return False
    worker = ground.rng.choice(workers)
    names = await ground.of(worker)
    ground.place.units.kill(worker)
    ground.concerns(kind, names)
    return True


async def freeze_worker(ground: Ground, kind: str) -> bool:
    """SIGSTOP a worker for longer than its leases last, then let it go on."""
    workers = ground.place.units.named("worker")
    if not workers:
        return False
    worker = ground.rng.choice(workers)
    names, pid = await ground.of(worker), worker.pid
    processes.send(pid, signal.SIGSTOP)
    ground.concerns(kind, names)
    try:
        await ground.wait(LEASE_SECONDS + 1, LEASE_SECONDS + 3)
    finally:
        processes.send(pid, signal.SIGCONT)
    return True


async def kill_server(ground: Ground, kind: str) -> bool:
    """SIGKILL an API server; the first one also guards the database."""
    servers = ground.place.units.named("serve")
    if not servers:
        return False
    ground.place.units.kill(ground.rng.choice(servers))
    ground.concerns(kind, ground.everybody())
    return True


async def supervised(ground: Ground) -> tuple[str, int] | None:
    """A session with a living supervisor, rather one with a call under way; and that supervisor."""
    whys = await ground.driver.whys()
    calling = [name for name, why in whys.items() if why["waiting_for"]["type"] == "tool"]
    names = calling or ground.everybody()
    found = [
        (name, pid)
        for name in names
        if (pid := ground.place.supervisor(ground.driver.accounts[name].session_id))
    ]
    return ground.rng.choice(found) if found else None


async def kill_supervisor(ground: Ground, kind: str) -> bool:
    """SIGKILL the supervisor of a sandbox."""
    found = await supervised(ground)
    if found is None or not processes.send(found[1], signal.SIGKILL):
        return False
    ground.concerns(kind, [found[0]])
    return True


async def kill_runner(ground: Ground, kind: str) -> bool:
    """SIGKILL a process inside a sandbox, or the one that holds it together."""
    found = await supervised(ground)
    below = processes.descendants(found[1]) if found else []
    if found is None or not below or not processes.send(ground.rng.choice(below), signal.SIGKILL):
        return False
    ground.concerns(kind, [found[0]])
    return True


async def kill_database(ground: Ground, kind: str) -> bool:
    """SIGKILL the database's server; its first platform server starts it again."""
    pid = ground.place.database()
    if not pid or not processes.send(pid, signal.SIGKILL):
        return False
    ground.concerns(kind, ground.everybody())
    return True


async def lose_machine(ground: Ground, kind: str) -> bool:
    """SIGKILL every process there is, database and sandboxes included; start again after a moment."""
    units = ground.place.units
    units.held = True
    try:
        units.kill_everything()
        await ground.wait(0.2, 1.5)
    finally:
        units.held = False
    ground.concerns(kind, ground.everybody())
    return True


async def fill_disk(ground: Ground, kind: str) -> bool:
    """Leave no room on the disk of the data directory for some seconds."""
    disk.fill(ground.place.data_dir)
    try:
        await ground.wait(2, 6)
    finally:
        disk.make_room(ground.place.data_dir)
    ground.concerns(kind, ground.everybody())
    return True


async def cut_database(ground: Ground, kind: str) -> bool:
    """Break the connections of one process, or of all, to the database, and refuse new ones for a while."""
    units = [unit for unit in ground.place.units.all.values() if unit.way is not None]
    chosen = units if ground.rng.random() < 0.5 else [ground.rng.choice(units)]
    for unit in chosen:
        assert unit.way is not None
        unit.way.set("cut")
    try:
        await ground.wait(0.1, 5)
    finally:
        for unit in chosen:
            assert unit.way is not None
            unit.way.set("open")
    ground.concerns(kind, ground.everybody())
    return True


async def stall_database(ground: Ground, kind: str) -> bool:
    """Let nothing through between a worker and the database for longer than its leases last."""
    workers = ground.place.units.named("worker")
    if not workers:
        return False
    worker = ground.rng.choice(workers)
    names = await ground.of(worker)
    assert worker.way is not None
    worker.way.set("stalled")
    ground.concerns(kind, names)
    try:
        await ground.wait(LEASE_SECONDS + 1, LEASE_SECONDS + 3)
    finally:
        worker.way.set("open")
    return True


def model(mode: Mode, least: float, most: float) -> Inject:
    """The upstream of the model fails in this way for so many seconds."""

    async def fail(ground: Ground, kind: str) -> bool:
        ground.upstream.mode = mode
        try:
            await ground.wait(least, most)
        finally:
            ground.upstream.mode = "well"
        ground.concerns(kind, ground.everybody())
        return True

    return fail


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    inject: Inject
    weight: int
    """How often it is drawn, compared with the others."""
    kills: bool = False
    """Whether somebody is killed."""
    impossible: Callable[[], str] = str
    """Why it cannot be had here; empty: it can."""


KINDS: Mapping[str, Kind] = {
    "worker-kill": Kind(kill_worker, 10, kills=True),
    "worker-freeze": Kind(freeze_worker, 3),
    "server-kill": Kind(kill_server, 5, kills=True),
    "supervisor-kill": Kind(kill_supervisor, 6, kills=True),
    "runner-kill": Kind(kill_runner, 5, kills=True),
    "database-kill": Kind(kill_database, 5, kills=True),
    "machine-loss": Kind(lose_machine, 4, kills=True),
    "disk-full": Kind(fill_disk, 2, impossible=disk.no_disk),
    "database-cut": Kind(cut_database, 3),
    "database-stall": Kind(stall_database, 2),
    "model-hang": Kind(model("hangs", 1, 6), 2),
    "model-cut": Kind(model("cuts", 1, 4), 2),
    "model-overloaded": Kind(model("overloaded", 1, 15), 2),
    "model-outage": Kind(model("overloaded", 60, 60), 1),
}
