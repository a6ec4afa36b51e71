"""The kit for plain nouns: a table whose every row belongs to a workspace.

Promises: there is no way to ask without a workspace; a row of another workspace is `NotFound`; each
write leaves its audit row in the same transaction; a page is keyed by (created_at, id), so rows
written while somebody pages are neither skipped nor doubled.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from agentstead.clock import rfc3339
from agentstead.errors import NotFound
from agentstead.ids import Ids
from agentstead.store import audit
from agentstead.store.pool import Params, Transaction

Row = dict[str, Any]
T = TypeVar("T")


class Asks(Protocol):
    """A database or a transaction: whatever can be asked."""

    async def fetch(self, sql: str, params: Params = ()) -> list[dict[str, Any]]:
        """All rows."""
        ...

    async def fetch_one(self, sql: str, params: Params = ()) -> dict[str, Any] | None:
        """The first row."""
        ...


@dataclass(frozen=True, slots=True)
class Write:
    """A transaction with what a write needs beside: ids, the time, the workspace."""

    tx: Transaction
    ids: Ids
    at: float
    workspace_id: str


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition in SQL on the table (alias `t`), with its parameters."""

    sql: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """Which rows of a list: the order, from where, how many."""

    limit: int
    descending: bool = True
    after: tuple[float, str] | None = None
    """(created_at in seconds, id) of the row before the first."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a noun."""

    name: str
    noun: str
    """How it is called in messages and in the audit trail, e.g. `environment`."""
    columns: str = "t.*"
    source: str | None = None
    """What is selected from instead of the table itself; its rows carry the alias `t`."""
    missing: str | None = None
    """The error code of a `NotFound`."""

    @property
    def _from(self) -> str:
        return self.source or f"{self.name} t"

    async def find(self, asks: Asks, workspace_id: str, row_id: str) -> Row | None:
        """One row, or None."""
        row = await asks.fetch_one(
            f"select {self.columns} from {self._from} where t.workspace_id = %s and t.id = %s",  # noqa: S608
            (workspace_id, row_id),
        )
        return row and readable(row)

    async def retrieve(self, asks: Asks, workspace_id: str, row_id: str) -> Row:
        """One row; NotFound."""
        return found(self, row_id, await self.find(asks, workspace_id, row_id))

    async def lock(self, write: Write, row_id: str) -> Row:
        """One row, locked until the transaction ends; NotFound."""
        locked = await write.tx.fetch_one(
            f"select 1 from {self.name} where workspace_id = %s and id = %s for update",  # noqa: S608
            (write.workspace_id, row_id),
        )
        found(self, row_id, locked)
        return await self.retrieve(write.tx, write.workspace_id, row_id)

    async def list(
        self, asks: Asks, workspace_id: str, part: Slice, filters: Sequence[Filter] = ()
    ) -> tuple[list[Row], bool]:
        """The rows of a page, and whether more follow."""
        conditions = ["t.workspace_id = %s"]
        params: list[Any] = [workspace_id]
        for one in filters:
            conditions.append(f"({one.sql})")
            params.extend(one.params)
        if part.after is not None:
            sign = "<" if part.descending else ">"
            conditions.append(f"(t.created_at, t.id) {sign} (%s, %s)")
            params.extend((moment(part.after[0]), part.after[1]))
        way = "desc" if part.descending else "asc"
        rows = await asks.fetch(
            f"select {self.columns} from {self._from} where {' and '.join(conditions)}"  # noqa: S608
            f" order by t.created_at {way}, t.id {way} limit %s",
            (*params, part.limit + 1),
        )
        return [readable(row) for row in rows[: part.limit]], len(rows) > part.limit

    async def insert(self, write: Write, values: Mapping[str, Any]) -> None:
        """A new row with this id; `workspace_id` and both times are added."""
        at = moment(write.at)
        row = {**values, "workspace_id": write.workspace_id, "created_at": at, "updated_at": at}
        names = ", ".join(row)
        marks = ", ".join(["%s"] * len(row))
        await write.tx.execute(
            f"insert into {self.name} ({names}) values ({marks})",  # noqa: S608
            [storable(value) for value in row.values()],
        )
        await self.note(write, "create", values["id"])

    async def update(
        self, write: Write, row_id: str, values: Mapping[str, Any], verb: str = "update"
    ) -> None:
        """Set columns and `updated_at`; NotFound."""
        row = {**values, "updated_at": moment(write.at)}
        sets = ", ".join(f"{name} = %s" for name in row)
        touched = await write.tx.execute(
            f"update {self.name} set {sets} where workspace_id = %s and id = %s",  # noqa: S608
            [*(storable(value) for value in row.values()), write.workspace_id, row_id],
        )
        found(self, row_id, touched or None)
        await self.note(write, verb, row_id)

    async def archive(self, write: Write, row_id: str) -> Row:
        """Set `archived_at`, once; the row as it is then. Repeating it changes nothing."""
        row = await self.lock(write, row_id)
        if row["archived_at"] is not None:
            return row
        await self.update(write, row_id, {"archived_at": moment(write.at)}, "archive")
        return await self.retrieve(write.tx, write.workspace_id, row_id)

    async def delete(self, write: Write, row_id: str) -> None:
        """Remove the row; NotFound."""
        touched = await write.tx.execute(
            f"delete from {self.name} where workspace_id = %s and id = %s",  # noqa: S608
            (write.workspace_id, row_id),
        )
        found(self, row_id, touched or None)
        await self.note(write, "delete", row_id)

    async def note(self, write: Write, verb: str, row_id: str) -> None:
        """The audit row of a write."""
        entry = audit.Entry(
            workspace_id=write.workspace_id,
            action=f"{self.noun}.{verb}",
            target_type=self.noun,
            target_id=row_id,
            at=write.at,
        )
        await audit.write(write.tx, write.ids, entry)


def found(table: Table, row_id: str, row: T | None) -> T:
    """The row, or NotFound naming it."""
    if row is None:
        raise NotFound(
            f"{table.noun.replace('_', ' ').capitalize()} {row_id} not found.", code=table.missing
        )
    return row


def moment(at: float) -> datetime:
    """Seconds as the database keeps them."""
    return datetime.fromtimestamp(at, UTC)


def storable(value: Any) -> Any:
    """Objects and lists as JSON text; the rest as it is."""
    if isinstance(value, dict | list):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return value


def readable(row: Row) -> Row:
    """A row with its times as on the wire."""
    return {
        name: rfc3339(value.timestamp()) if isinstance(value, datetime) else value
        for name, value in row.items()
    }
