"""The work queue's eight routes (work queue §1.3).

`poll` and `stats` are mounted before `{work_id}`, so that they are not taken for ids.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from agentstead.api.router import Call, Raw, Router
from agentstead.errors import Invalid, NotFound
from agentstead.resources.environments import environments
from agentstead.resources.listing import newest_first
from agentstead.resources.work import queue, states
from agentstead.resources.work.ending import update as write_columns
from agentstead.resources.work.states import Item
from agentstead.store import audit
from agentstead.store.pool import Transaction
from agentstead.store.table import Filter, Row, Table
from agentstead.wire.answers.answer import Page
from agentstead.wire.answers.work import Polled, Work, WorkHeartbeat, WorkQueueStats
from agentstead.wire.environment import BAD_METADATA, self_hosted
from agentstead.wire.shape import MetadataPatch, Shape, canonical, patch_metadata

router = Router("Work")
work = Table("work", "work item")
PATH = "/v1/environments/{environment_id}/work"
BLOCK_MS_MAX = 999
RECLAIM_MS = 5_000
RECLAIM_MS_MAX = 86_400_000
TTL_SECONDS_MAX = 1_000_000
WORKER_ID_CHARACTERS_MAX = 256
LOCK = """
    select *, clock_timestamp() as now from work
    where id = %s and environment_id = %s and workspace_id = %s for update
"""
EXTEND = """
    update work_tokens set until = greatest(until, %s)
    where hash = (select hash from work_tokens where work_id = %s order by created_at desc limit 1)
"""


class WorkStop(Shape):
    """The body of a stop."""

    force: bool | None = None


class WorkUpdate(Shape):
    """The body of an update."""

    codes = {"metadata": BAD_METADATA}
    metadata: MetadataPatch | None = None


@router.get(f"{PATH}/poll", query=("block_ms", "reclaim_older_than_ms"), answer=Polled)
async def poll(call: Call, environment_id: str) -> Raw:
    """Take the oldest work item, waiting up to `block_ms` for one; `null` when there is none."""
    block = call.query.number("block_ms", 1, BLOCK_MS_MAX)
    reclaim = call.query.number("reclaim_older_than_ms", 0, RECLAIM_MS_MAX)
    if await is_archived(call, environment_id):
        return Raw(b"null")  # an error would end the workers, who still have sessions to finish
    named = (call.headers.get("anthropic-worker-id") or call.caller.key_id).replace("\x00", "")
    taken = await queue.poll(
        call,
        queue.Poll(
            environment_id,
            named[:WORKER_ID_CHARACTERS_MAX],
            (block or 0) / 1000,
            (RECLAIM_MS if reclaim is None else reclaim) / 1000,
        ),
    )
    return Raw(canonical(answer(taken.row, taken.secret) if taken else None).encode())


@router.get(f"{PATH}/stats", answer=WorkQueueStats)
async def stats(call: Call, environment_id: str) -> Mapping[str, Any]:
    """How many work items wait, for how long, and how many workers look for them."""
    await check_environment(call, environment_id)
    await queue.ending(call).lapse(environment_id)
    return {"type": "work_queue_stats", **await queue.stats(call, environment_id)}


@router.get(PATH, query=("limit", "page"), answer=Page[Work])
async def list_work(call: Call, environment_id: str) -> Mapping[str, Any]:
    """List the work items of an environment, newest first."""
    await check_environment(call, environment_id)
    await queue.ending(call).lapse(environment_id)
    mine = [Filter("t.environment_id = %s", (environment_id,))]
    return await newest_first(call, work, f"work:{environment_id}", mine, answer)


@router.get(f"{PATH}/{{work_id}}", answer=Work)
async def retrieve(call: Call, environment_id: str, work_id: str) -> Mapping[str, Any]:
    """Retrieve a work item."""
    await queue.ending(call).lapse(environment_id)
    return answer(await found(call, environment_id, work_id))


@router.post(f"{PATH}/{{work_id}}", WorkUpdate, answer=Work)
async def update(
    call: Call, environment_id: str, work_id: str, body: WorkUpdate
) -> Mapping[str, Any]:
    """Change the metadata of a work item."""
    async with call.services.database.transaction() as tx:
        row = await locked(call, tx, environment_id, work_id)
        metadata = patch_metadata(row["metadata"], body.metadata, code=BAD_METADATA)
        if metadata != row["metadata"]:
            await write_columns(tx, work_id, {"metadata": metadata}, row["now"])
            await work.note(call.write(tx), "update", work_id)
    return answer(await found(call, environment_id, work_id))


@router.post(f"{PATH}/{{work_id}}/ack", answer=Work)
async def ack(call: Call, environment_id: str, work_id: str) -> Mapping[str, Any]:
    """Acknowledge a work item: it leaves the queue, and its first heartbeat is awaited."""
    async with call.services.database.transaction() as tx:
        row = await locked(call, tx, environment_id, work_id)
        changes = states.acked(Item.of(row), row["now"], call.services.settings)
        if changes:
            await write_columns(tx, work_id, changes, row["now"])
            await extend_token(call, tx, work_id, changes["lease_until"])
            entry = audit.Entry(call.workspace_id, "work.ack", "work", work_id, call.now)
            await audit.write(tx, call.services.ids, entry)
    return answer(await found(call, environment_id, work_id))


@router.post(
    f"{PATH}/{{work_id}}/heartbeat",
    query=("expected_last_heartbeat", "desired_ttl_seconds"),
    answer=WorkHeartbeat,
)
async def heartbeat(call: Call, environment_id: str, work_id: str) -> Mapping[str, Any]:
    """Keep a work item's lease; 412 when somebody else holds it."""
    expected = call.query.text("expected_last_heartbeat")
    wished = call.query.number("desired_ttl_seconds", 1, TTL_SECONDS_MAX)
    await queue.ending(call).lapse(environment_id)
    async with call.services.database.transaction() as tx:
        row = await locked(call, tx, environment_id, work_id)
        beat = states.beat(
            Item.of(row), expected, wished, call.caller.key_id, row["now"], call.services.settings
        )
        if beat.changes:
            await write_columns(tx, work_id, beat.changes, row["now"])
        if "lease_until" in beat.changes:
            await extend_token(call, tx, work_id, beat.changes["lease_until"])
    return beat.answer


@router.post(f"{PATH}/{{work_id}}/stop", WorkStop, answer=Work)
async def stop(call: Call, environment_id: str, work_id: str, body: WorkStop) -> Mapping[str, Any]:
    """Ask the worker of an item to end, or end the item at once with `force`."""
    await found(call, environment_id, work_id)
    ending = queue.ending(call)
    await ending.stop(call.workspace_id, work_id, force=bool(body.force), by=call.caller)
    return answer(await found(call, environment_id, work_id))


def answer(row: Row, secret: str | None = None) -> dict[str, Any]:
    """A work item as on the wire; `agentstead.reason` says why it ended or was queued again."""
    shown = {
        "id": row["id"],
        "type": "work",
        "environment_id": row["environment_id"],
        "data": {"type": "session", "id": row["session_id"]},
        "state": row["state"],
        "secret": secret,
        "metadata": row["metadata"],
        "created_at": row["created_at"],
        "acknowledged_at": row["acknowledged_at"],
        "started_at": row["started_at"],
        "latest_heartbeat_at": row["heartbeat_at"],
        "stop_requested_at": row["stop_requested_at"],
        "stopped_at": row["stopped_at"],
    }
    if row["reason"] is not None:
        shown["agentstead"] = {"reason": row["reason"]}
    return shown


async def found(call: Call, environment_id: str, work_id: str) -> Row:
    """An item, also of an environment that is gone: its worker may finish. NotFound, Invalid."""
    row = await work.find(call.services.database, call.workspace_id, work_id)
    if row is None or row["environment_id"] != environment_id:
        await check_environment(call, environment_id)
        raise NotFound(f"There is no work item {work_id} in environment {environment_id}.")
    return row


async def locked(call: Call, tx: Transaction, environment_id: str, work_id: str) -> dict[str, Any]:
    """An item and the time, until the transaction ends; NotFound, Invalid."""
    row = await tx.fetch_one(LOCK, (work_id, environment_id, call.workspace_id))
    if row is None:
        return await found(call, environment_id, work_id)
    return row


async def extend_token(call: Call, tx: Transaction, work_id: str, lease_until: datetime) -> None:
    """The latest token lives somewhat longer than the lease."""
    grace = timedelta(seconds=call.services.settings.work_token_seconds)
    await tx.execute(EXTEND, (lease_until + grace, work_id))


async def is_archived(call: Call, environment_id: str) -> bool:
    """Whether the environment takes no more work; NotFound, Invalid."""
    scope = call.caller.scope
    if scope is not None:  # its credential was looked up together with its environment
        return scope.archived
    return (await check_environment(call, environment_id))["archived_at"] is not None


async def check_environment(call: Call, environment_id: str) -> Row:
    """A self-hosted environment; NotFound, Invalid."""
    row = await environments.retrieve(call.services.database, call.workspace_id, environment_id)
    if not self_hosted(row):
        raise Invalid(
            f"environment_id: Environment {environment_id} is not self_hosted and has no work queue; "
            "the platform runs its tools."
        )
    return row
