"""The end of work items: stops, leases that ran out, and whether the session is offered again.

Promises: an item that ends while its session still needs a host is followed by another, a limited
number of times for the same calls; then the session's log says so. Every end has its reason, in the
item and in the audit trail.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agentstead.api.auth import Caller
from agentstead.clock import Clock, rfc3339
from agentstead.ids import EVENT, Ids
from agentstead.log import inbox, work
from agentstead.log.bus import INPUT, WORK
from agentstead.log.log import SessionLog
from agentstead.resources.work import states
from agentstead.resources.work.states import Item
from agentstead.settings import Settings
from agentstead.store import audit
from agentstead.store.pool import Database, Transaction
from agentstead.store.table import storable
from agentstead.telemetry import logs

log = logs.get("work")

LATE = """
    select id, session_id from work
    where lease_until < clock_timestamp() and state in ('starting', 'active', 'stopping')
      and (%s::text is null or environment_id = %s)
    order by lease_until limit 100
"""
LOCK_SESSION = "select id from sessions where id = %s for no key update"
LOCK = """
    select *, clock_timestamp() as now from work where id = %s and workspace_id = %s for update
"""
OLD = """
    delete from work w where state = 'stopped' and stopped_at < now() - interval '1 day'
      and not exists (select from sessions s where s.id = w.session_id)
"""
OLD_TOKENS = "delete from work_tokens where until < now()"
OLD_POLLERS = "delete from work_pollers where seen_at < now() - interval '7 days'"


class Ending:
    """Ends items, with what follows from it. Made per use: it holds nothing."""

    def __init__(
        self, database: Database, log: SessionLog, settings: Settings, clock: Clock, ids: Ids
    ) -> None:
        self.database = database
        self.log = log
        self.settings = settings
        self.clock = clock
        self.ids = ids

    async def stop(self, workspace_id: str, work_id: str, *, force: bool, by: Caller) -> None:
        """Stop an item as somebody asked; nothing when it is gone."""
        known = await self.database.fetch_one(
            "select session_id from work where id = %s and workspace_id = %s",
            (work_id, workspace_id),
        )
        if known is None:
            return
        async with self.database.transaction() as tx:
            row = await self.locked(tx, known["session_id"], workspace_id, work_id)
            if row is None:
                return
            item = Item.of(row)
            reason = stop_reason(item, by, force=force)
            changes = states.stopped(
                item, force=force, reason=reason, now=row["now"], settings=self.settings
            )
            rung = await self.change(tx, row, changes, "stop")
        self.ring(rung)

    async def lapse(self, environment_id: str | None = None) -> int:
        """Take back what holders have let run out; how many items that were."""
        late = await self.database.fetch(LATE, (environment_id, environment_id))
        for found in late:
            async with self.database.transaction() as tx:
                row = await self.locked(tx, found["session_id"], None, found["id"])
                if row is None or not states.is_late(Item.of(row), row["now"]):
                    continue
                rung = await self.lapsed(tx, row)
            self.ring(rung)
        return len(late)

    async def lapsed(self, tx: Transaction, row: Mapping[str, Any]) -> list[str]:
        """One item whose lease has run out: queued again, or ended."""
        reason = lapse_reason(row)
        if row["state"] == "stopping":
            return await self.change(tx, row, states.ended(reason, row["now"]), "lapse")
        again = await work.wanted_again(
            tx, row["session_id"], reason, times_max=1 << 30, first_seconds=0.0
        )
        if again.offer is None:  # the session has no use for a host any more
            return await self.change(tx, row, states.ended(reason, row["now"]), "lapse")
        same = row["lapsed_for"] == again.offer.cause
        lapses = row["lapses"] + 1 if same else 1
        if lapses > self.settings.work_requeues_max:
            changes = states.ended(reason, row["now"])
            return await self.change(tx, row, changes, "lapse", exhausted=True)
        changes = {
            **states.queued_again(reason, row["now"]),
            "lapses": lapses,
            "lapsed_for": again.offer.cause,
        }
        await self.write(tx, row, changes, "lapse")
        await self.log.tell(tx, f"{WORK} {row['environment_id']} 0")
        await self.log.work_queued(tx, row["environment_id"], row["session_id"])
        return [row["environment_id"]]

    async def change(
        self,
        tx: Transaction,
        row: Mapping[str, Any],
        changes: states.Changes,
        verb: str,
        *,
        exhausted: bool = False,
    ) -> list[str]:
        """Write; when the item has ended, offer its session again. Environments with news."""
        if not changes:
            return []
        await self.write(tx, row, changes, verb)
        if changes["state"] != "stopped":
            return []
        reason = str(changes["reason"])
        again = await work.wanted_again(
            tx,
            row["session_id"],
            reason,
            times_max=0 if exhausted else self.settings.work_requeues_max,
            first_seconds=self.settings.work_requeue_first_seconds,
        )
        if again.given_up:
            await self.complain(tx, row, again.given_up, reason)
        if again.offer is None:
            return []
        rung = await work.offer(tx, self.ids, [again.offer], self.log.work_queued)
        for environment_id in rung:
            await self.log.tell(tx, f"{WORK} {environment_id} 0")
        return rung

    async def complain(
        self, tx: Transaction, row: Mapping[str, Any], calls: tuple[str, ...], reason: str
    ) -> None:
        """Tell the session that its calls are offered to nobody any more."""
        now = self.clock.now()
        said = work.complaint(self.ids.new(EVENT), rfc3339(now), calls, reason)
        session_id = row["session_id"]
        log.warning("work given up", session_id=session_id, calls=list(calls), reason=reason)
        await inbox.queue(tx, row["workspace_id"], session_id, [said], now)
        latest = await inbox.wake(tx, session_id, [said], starts=False, views=(), at=now)
        await self.log.tell(tx, f"{INPUT} {session_id} {latest}")

    async def locked(
        self, tx: Transaction, session_id: str, workspace_id: str | None, work_id: str
    ) -> dict[str, Any] | None:
        """The item, locked after its session."""
        await tx.fetch_one(LOCK_SESSION, (session_id,))
        if workspace_id is None:
            return await tx.fetch_one(LOCK.replace("and workspace_id = %s", ""), (work_id,))
        return await tx.fetch_one(LOCK, (work_id, workspace_id))

    async def write(
        self, tx: Transaction, row: Mapping[str, Any], changes: states.Changes, verb: str
    ) -> None:
        """Set columns, and note it in the audit trail."""
        await update(tx, row["id"], changes, row["now"])
        detail = {"state": changes["state"], "session_id": row["session_id"]}
        entry = audit.Entry(
            row["workspace_id"],
            f"work.{verb}",
            "work",
            row["id"],
            self.clock.now(),
            rule=changes.get("reason"),
            detail=detail,
        )
        await audit.write(tx, self.ids, entry)
        names = {"work_id": row["id"], "session_id": row["session_id"]}
        log.info("work item changed", state=changes["state"], why=changes.get("reason"), **names)

    def ring(self, environment_ids: list[str]) -> None:
        """Wake this process's pollers."""
        for environment_id in environment_ids:
            self.log.work_bell.ring(environment_id)

    async def forget(self) -> None:
        """What time has overtaken: tokens, pollers, and items of deleted sessions."""
        for statement in (OLD_TOKENS, OLD_POLLERS, OLD):
            await self.database.execute(statement)


async def update(tx: Transaction, work_id: str, changes: states.Changes, now: datetime) -> None:
    """Set columns of an item."""
    sets = ", ".join(f"{name} = %s" for name in changes)
    await tx.execute(
        f"update work set {sets}, updated_at = %s where id = %s",  # noqa: S608 - names are ours
        [*(storable(value) for value in changes.values()), now, work_id],
    )


def stop_reason(item: Item, by: Caller, *, force: bool) -> str:
    """Why an item is stopped; workers end theirs by force."""
    who = by.credential
    if item.state == "stopping":
        return f"Its worker stopped when it was asked to ({who})."
    if item.state == "queued":
        return f"It was stopped before a worker took it ({who})."
    early = " before its first heartbeat" if item.heartbeat_at is None else ""
    if by.scope is not None and force:
        return f"Its worker left it{early} ({who})."
    return f"It was {'forced' if force else 'asked'} to stop{early} ({who})."


def lapse_reason(row: Mapping[str, Any]) -> str:
    """Why a lease ran out."""
    who = f"Worker {row['worker_id']}" if row["worker_id"] else "Its worker"
    if row["state"] == "stopping":
        return f"{who} was asked to stop and has not said that it did."
    if row["heartbeat_at"] is None:
        return f"{who} took it and never sent a heartbeat."
    return f"{who} has sent no heartbeat since {states.stamp(row['heartbeat_at'])}."
