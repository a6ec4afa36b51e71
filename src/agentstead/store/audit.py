"""The audit trail's writer: one row in the transaction of what it records.

Who acts is said once at the door (`acting`), so that no call in between has to carry it. Rows are
written unchained; chaining them would be one global lock over every append.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from agentstead.ids import AUDIT, Ids
from agentstead.store.pool import Transaction


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something, and from where."""

    name: str
    """Id of the key, of the worker, or `system`."""
    source: str | None = None
    """Address of the caller."""


SYSTEM = Actor("system")
_actor: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Everything audited inside is this actor's doing."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened."""

    workspace_id: str
    action: str
    """`<noun>.<verb>`, e.g. `session.create`."""
    target_type: str
    target_id: str
    at: float
    decision: str | None = None
    """allow | ask | deny, where a decision was made."""
    rule: str | None = None
    detail: Mapping[str, Any] | None = None
    actor: Actor | None = None
    """None: who `acting` names."""


async def write(tx: Transaction, ids: Ids, entry: Entry) -> None:
    """Write one row in `tx`."""
    actor = entry.actor or _actor.get()
    await tx.execute(
        "insert into audit (id, workspace_id, at, actor, action, target_type, target_id, source,"
        " decision, rule, detail)"
        " values (%s, %s, to_timestamp(%s), %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            ids.new(AUDIT),
            entry.workspace_id,
            entry.at,
            actor.name,
            entry.action,
            entry.target_type,
            entry.target_id,
            actor.source,
            entry.decision,
            entry.rule,
            json.dumps(entry.detail or {}),
        ),
    )
