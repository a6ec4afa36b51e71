"""The states of a work item, pure (work queue §1.5): what acks, heartbeats and stops change.

Each decision takes the item, the time and the numbers, and answers the columns that change; none
touches the database. Times are the database's, so that all processes agree on who is late.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agentstead.errors import Invalid, Precondition
from agentstead.settings import Settings

NO_HEARTBEAT = "NO_HEARTBEAT"
RESEND = timedelta(seconds=10)
"""So long a holder may give back the value before the latest: the answer to it was lost."""
TICK = timedelta(microseconds=1)
HELD = ("starting", "active", "stopping")

Changes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """A work item as it is stored."""

    id: str
    environment_id: str
    session_id: str
    state: str
    heartbeat_at: datetime | None = None
    heartbeat_before: datetime | None = None
    heartbeat_by: str | None = None
    ttl_seconds: int | None = None
    lease_until: datetime | None = None
    started_at: datetime | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Item":
        """From a row of the table."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


def stamp(at: datetime | None) -> str | None:
    """A time as clients hand it back: RFC 3339 in UTC, always with six digits."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def acked(item: Item, now: datetime, settings: Settings) -> Changes:
    """Somebody took it. Repeating it, or coming late, changes nothing."""
    if item.state in ("stopping", "stopped"):
        raise Invalid(f"Work item {item.id} is {item.state}: there is nothing to do any more.")
    if item.state != "queued":
        return {}
    return {
        "state": "starting",
        "acknowledged_at": now,
        "polled_at": None,
        "lease_until": now + timedelta(seconds=settings.work_ack_seconds),
    }


@dataclass(frozen=True, slots=True)
class Beat:
    """What a heartbeat changes, and its answer."""

    changes: Changes
    answer: Mapping[str, Any]


def beat(
    item: Item,
    expected: str | None,
    wished: int | None,
    by: str,
    now: datetime,
    settings: Settings,
) -> Beat:
    """The holder lives. Raises Precondition when it is not the holder any more."""
    if item.state in ("stopping", "stopped"):  # the value is not compared: the holder shall know
        changes: Changes = {}
        if item.state == "stopping" and item.heartbeat_at != now:
            changes = {"heartbeat_at": later(item, now), "heartbeat_before": item.heartbeat_at}
        latest = changes.get("heartbeat_at", item.heartbeat_at)
        return Beat(changes, answered(item, latest, item.state, settings))
    if resent(item, expected, by, now):
        return Beat({}, answered(item, item.heartbeat_at, item.state, settings))
    holds = expected is None or expected == (stamp(item.heartbeat_at) or NO_HEARTBEAT)
    if item.state == "queued" or not holds:
        raise lost(item, settings)
    ttl = min(
        max(wished or settings.work_lease_seconds, settings.work_lease_min_seconds),
        settings.work_lease_max_seconds,
    )
    latest = later(item, now)
    changes = {
        "state": "active",
        "started_at": item.started_at or now,
        "heartbeat_at": latest,
        "heartbeat_before": item.heartbeat_at,
        "heartbeat_by": by,
        "ttl_seconds": ttl,
        "lease_until": now + timedelta(seconds=ttl),
    }
    return Beat(changes, {**answered(item, latest, "active", settings), "ttl_seconds": ttl})


def later(item: Item, now: datetime) -> datetime:
    """A value that no heartbeat of this item has had."""
    return max(now, item.heartbeat_at + TICK) if item.heartbeat_at else now


def resent(item: Item, expected: str | None, by: str, now: datetime) -> bool:
    """Whether this is the latest heartbeat once more, from the same holder."""
    before, latest = item.heartbeat_before, item.heartbeat_at
    if expected is None or before is None or latest is None or item.state != "active":
        return False
    return expected == stamp(before) and by == item.heartbeat_by and now - latest < RESEND


def answered(item: Item, latest: datetime | None, state: str, settings: Settings) -> dict[str, Any]:
    """A heartbeat's answer."""
    return {
        "type": "work_heartbeat",
        "last_heartbeat": stamp(latest) or "",
        "lease_extended": state != "stopped",
        "state": state,
        "ttl_seconds": item.ttl_seconds or settings.work_lease_seconds,
    }


def lost(item: Item, settings: Settings) -> Precondition:
    """The lease is somebody else's, or the queue's."""
    return Precondition(
        f"The heartbeat does not fit work item {item.id}: its lease has ended, or another worker "
        "holds it.",
        code="heartbeat_precondition_failed",
        details={
            "current_state": {
                "last_heartbeat": stamp(item.heartbeat_at),
                "lease_extended": False,
                "state": item.state,
                "ttl_seconds": item.ttl_seconds or settings.work_lease_seconds,
            }
        },
    )


def stopped(item: Item, *, force: bool, reason: str, now: datetime, settings: Settings) -> Changes:
    """Somebody wants it to end; a holder may finish what it does, unless it is forced."""
    if item.state == "stopped" or (item.state == "stopping" and not force):
        return {}
    if force or item.state == "queued":
        return ended(reason, now)
    until = now + timedelta(seconds=settings.work_stop_seconds)
    return {
        "state": "stopping",
        "stop_requested_at": now,
        "lease_until": max(until, item.lease_until or until),
        "reason": reason,
    }


def ended(reason: str, now: datetime) -> Changes:
    """It is over."""
    return {"state": "stopped", "stopped_at": now, "lease_until": None, "reason": reason}


def is_late(item: Item, now: datetime) -> bool:
    """Whether its holder has let the lease run out."""
    return item.state in HELD and item.lease_until is not None and item.lease_until < now


def queued_again(reason: str, now: datetime) -> Changes:
    """Its holder was lost; the next one may have it, and the old one's heartbeats are refused."""
    return {
        "state": "queued",
        "available_at": now,
        "polled_at": None,
        "acknowledged_at": None,
        "heartbeat_at": None,
        "heartbeat_before": None,
        "heartbeat_by": None,
        "lease_until": None,
        "reason": reason,
    }
