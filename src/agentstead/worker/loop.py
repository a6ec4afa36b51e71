"""A worker: claims due sessions, drives many at once, keeps its leases, hands over when stopped.

It holds no state that matters: what it knows of a session can be folded again by another one.
"""

import asyncio
from collections.abc import Callable

from agentstead.errors import Fault, LeaseLost, StoreFault
from agentstead.log.log import Lease
from agentstead.telemetry import logs
from agentstead.worker.turn import Turn
from agentstead.worker.world import World

CRASHES_MAX = 3
"""A session whose turns crash so often in a row is stopped, and says so."""
KEEP_SECONDS = 60.0
"""How often the sandboxes of driven sessions are renewed."""

log = logs.get("worker")


class Worker:
    """Runs until it is stopped or cancelled."""

    def __init__(self, world: World, owner: str) -> None:
        self.world = world
        self.owner = owner
        self.turns: dict[str, tuple[Turn, asyncio.Task[None]]] = {}
        self.crashes: dict[str, int] = {}
        """Turns in a row that ended by a defect of ours, per session."""
        self.put_off: list[Lease] = []
        """Of turns that the database's faults ended: handed back as soon as it answers."""
        self.stopping = asyncio.Event()
        self.room = asyncio.Event()
        """Set when a turn has ended."""

    async def run(self) -> None:
        """Claim and drive. An error of the worker itself ends it; one of a session does not."""
        beat = asyncio.ensure_future(self.beat())
        try:
            while not self.stopping.is_set():
                if beat.done():
                    beat.result()
                await self.claim()
            await self.drain()
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)
            await self.hand_back()

    async def drain(self) -> None:
        """Let each session go when its step ends; what takes too long is cut by who hands back."""
        turns = dict(self.turns)
        for turn, _ in turns.values():
            turn.leave()
        if turns and self.world.pace.drain_seconds > 0:
            tasks = [task for _, task in turns.values()]
            await asyncio.wait(tasks, timeout=self.world.pace.drain_seconds)

    async def stop(self) -> None:
        """Ask the worker to end: `run` hands its sessions over at a step's border and returns."""
        self.stopping.set()
        self.room.set()

    async def claim(self) -> None:
        """Claim what is due and there is room for; wait when there is nothing."""
        room = self.world.pace.sessions_max - len(self.turns)
        leases: list[Lease] = []
        if room > 0:
            try:
                leases = await self.world.log.claim(self.owner, min(room, 50))
            except Fault as fault:
                log.warning("claim failed", error=fault.message)
                await self.world.clock.sleep(self.world.pace.claim_poll_seconds)
                return
        for lease in leases:
            await self.begin(lease)
        if not leases:
            await self.rest(room)

    async def rest(self, room: int) -> None:
        """Until a session may be due, a turn has ended (when full), or the worker is stopped."""
        waits = [
            asyncio.ensure_future(self.stopping.wait()),
            asyncio.ensure_future(self.due() if room > 0 else self.full()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def due(self) -> bool:
        """Until a session may be due."""
        await self.world.log.due(self.world.pace.claim_poll_seconds)
        return True

    async def full(self) -> bool:
        """Until there is room for another session."""
        self.room.clear()
        return await self.room.wait()

    async def begin(self, lease: Lease) -> None:
        """Drive a claimed session in a task of its own."""
        known = self.turns.get(lease.session_id)
        if known is not None:  # an own lease ran out, and was claimed anew
            known[1].cancel()
            await asyncio.gather(known[1], return_exceptions=True)
        hopeless = self.crashes.get(lease.session_id, 0) >= CRASHES_MAX
        turn = Turn(self.world, lease, hopeless=hopeless)
        task = asyncio.ensure_future(self.drive(turn))
        self.turns[lease.session_id] = (turn, task)
        task.add_done_callback(self.ended(lease.session_id, turn))

    def ended(self, session_id: str, turn: Turn) -> Callable[[asyncio.Task[None]], None]:
        """Forget a turn that is over."""

        def forget(_: asyncio.Task[None]) -> None:
            known = self.turns.get(session_id)
            if known is not None and known[0] is turn:
                del self.turns[session_id]
            self.room.set()

        return forget

    async def drive(self, turn: Turn) -> None:
        """One turn, to its end or to whatever stops it."""
        session_id = turn.lease.session_id
        try:
            await turn.run()
            self.crashes.pop(session_id, None)
            if turn.left:
                log.info("session leaves a step's border for another worker", session_id=session_id)
                await self.world.log.release([turn.lease])
        except LeaseLost:
            log.info("lease lost", session_id=session_id)
        except Fault as fault:
            log.warning("turn put off", session_id=session_id, error=fault.message)
            if isinstance(fault, StoreFault) and fault.retryable:
                self.put_off.append(turn.lease)
        except Exception as error:  # noqa: BLE001 - the one place where a session may fail alone
            self.crashed(session_id, error)
        finally:
            self.world.servers.close(turn.lease)

    def crashed(self, session_id: str, error: Exception) -> None:
        """A defect of ours: the lease runs out, and a worker tries again a limited number of times."""
        self.crashes[session_id] = self.crashes.get(session_id, 0) + 1
        log.error("turn crashed", session_id=session_id, exc_info=error)

    async def beat(self) -> None:
        """Renew all leases once a second; drop what was lost, nudge what has input."""
        since_keep = 0.0
        while True:
            await self.world.clock.sleep(self.world.pace.heartbeat_seconds)
            await self.release_put_off()
            turns = dict(self.turns)
            if not turns:
                continue
            leases = [turn.lease for turn, _ in turns.values()]
            try:
                alive = await self.world.log.heartbeat(leases)
            except Fault as fault:
                log.warning("heartbeat failed", error=fault.message)
                continue
            for session_id, (turn, task) in turns.items():
                if session_id not in alive:
                    task.cancel()
                elif alive[session_id]:
                    turn.nudged.set()
            since_keep += self.world.pace.heartbeat_seconds
            if since_keep >= KEEP_SECONDS:
                since_keep = 0.0
                await self.keep(tuple(turns))

    async def release_put_off(self) -> None:
        """Nobody need wait for the ends of leases whose turns are over."""
        if not self.put_off:
            return
        leases, self.put_off = self.put_off, []
        try:
            await self.world.log.release(leases)
        except Fault as fault:
            self.put_off += leases
            log.warning("sessions could not be handed back yet", error=fault.message)

    async def keep(self, session_ids: tuple[str, ...]) -> None:
        """Renew the sandboxes of these sessions; they live an hour without it."""
        try:
            await self.world.sandbox.keep(session_ids)
        except (Fault, OSError) as error:
            log.warning("sandboxes could not be renewed", error=str(error))

    async def hand_back(self) -> None:
        """End every turn and give its session to whoever wants it."""
        turns = dict(self.turns)
        for _, task in turns.values():
            task.cancel()
        await asyncio.gather(*(task for _, task in turns.values()), return_exceptions=True)
        if turns:
            try:
                await self.world.log.release([turn.lease for turn, _ in turns.values()])
            except Fault as fault:
                log.warning("sessions could not be handed back", error=fault.message)
