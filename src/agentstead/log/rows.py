"""Between rows of the database and the log's own words."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agentstead.log.log import Ask, SessionRow
from agentstead.wire.events.stored import Event, Pending

EVENT_COLUMNS = (
    "seq, id, thread_id, type, primary_view, extract(epoch from at)::float8 as at, payload, private"
)
PENDING_COLUMNS = (
    "session_id, id, type, thread_id, payload, arrived, extract(epoch from at)::float8 as at"
)
SESSION_COLUMNS = """
    id, workspace_id, primary_thread_id, agent_id, agent_version, agent, environment_id, environment,
    title, metadata, resources, vault_ids, status, stop_reason, asks, usage, stats,
    extract(epoch from active_since)::float8 as active_since,
    extract(epoch from created_at)::float8 as created_at,
    extract(epoch from updated_at)::float8 as updated_at,
    extract(epoch from archived_at)::float8 as archived_at,
    extract(epoch from terminated_at)::float8 as terminated_at,
    head_seq, extract(epoch from wake_at)::float8 as wake_at, lease_owner,
    extract(epoch from lease_until)::float8 as lease_until, attempts,
    extract(epoch from last_event_at)::float8 as last_event_at, budget, list_cost,
    priority, stopped_by,
    (select count(*) from inbox where inbox.session_id = sessions.id) as inbox_count
"""


encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Made once: `json.dumps` with options makes an encoder for every call."""


def text_of(value: Any) -> str:
    """JSON text on one line. Lone surrogates are escaped, since they have no UTF-8 form."""
    text = encode(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def event_of(row: Mapping[str, Any]) -> Event:
    """A stored event."""
    return Event(
        id=row["id"],
        type=row["type"],
        thread_id=row["thread_id"],
        payload=row["payload"],
        at=row["at"],
        seq=row["seq"],
        private=row["private"],
        primary=row["primary_view"],
    )


def pending_of(row: Mapping[str, Any]) -> Pending:
    """Input that waits."""
    return Pending(
        id=row["id"],
        type=row["type"],
        thread_id=row["thread_id"],
        payload=row["payload"],
        arrived=row["arrived"],
        at=row["at"],
    )


def asks_of(value: list[dict[str, Any]]) -> tuple[Ask, ...]:
    """Stored asks."""
    return tuple(
        Ask(ask["id"], ask["kind"], ask["thread_id"], ask.get("result_follows", False))
        for ask in value
    )


def asks_text(asks: tuple[Ask, ...]) -> str:
    """Asks to be stored."""
    return json.dumps([ask_row(ask) for ask in asks])


def ask_row(ask: Ask) -> dict[str, Any]:
    """One ask to be stored."""
    row: dict[str, Any] = {"id": ask.id, "kind": ask.kind, "thread_id": ask.thread_id}
    return {**row, "result_follows": True} if ask.result_follows else row


def whole(number: Decimal | None) -> int | None:
    """A stored number without decimals."""
    return None if number is None else int(number)


def session_of(row: Mapping[str, Any]) -> SessionRow:
    """A session as the door sees it."""
    fields = dict(row)
    fields["asks"] = asks_of(row["asks"])
    fields["resources"] = tuple(row["resources"])
    fields["vault_ids"] = tuple(row["vault_ids"])
    fields["list_cost"] = whole(row["list_cost"])
    return SessionRow(**fields)
