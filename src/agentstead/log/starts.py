"""Calls that are about to go out to somebody who does not remember them.

Promises: a call's start is noted once, under the fence and durably, before the call is made. Whoever
finds it noted and no result in the log knows that the call may have happened.
"""

from agentstead.errors import LeaseLost
from agentstead.log.log import Lease
from agentstead.store.pool import Database

# The row lock keeps a newer claim out until the note is committed.
START = """
    with mine as (
        select id, workspace_id, fence from sessions
        where id = %(session)s and fence = %(fence)s and lease_owner = %(owner)s
        for no key update
    ), noted as (
        insert into call_starts (call_id, session_id, workspace_id, fence)
        select %(call)s, id, workspace_id, fence from mine
        on conflict (call_id) do nothing returning call_id
    )
    select (select count(*) from mine) as held, (select count(*) from noted) as noted
"""


async def start_call(database: Database, lease: Lease, call_id: str) -> bool:
    """Whether the start was noted now, for the first time. Raises LeaseLost."""
    asked = {
        "session": lease.session_id,
        "fence": lease.fence,
        "owner": lease.owner,
        "call": call_id,
    }
    row = await database.fetch_one(START, asked)
    assert row is not None
    if not row["held"]:
        raise LeaseLost
    return bool(row["noted"])


# A call that waits for its confirmation, beside others that run, counts as started too: then it is not made.
DOUBT = """
    insert into call_starts (call_id, session_id, workspace_id, fence)
    select e.id, s.id, s.workspace_id, s.fence
    from sessions s join events e on e.session_id = s.id and e.type = 'agent.mcp_tool_use'
    where s.status in ('running', 'rescheduling') and not exists (
        select from events r where r.session_id = s.id and r.type = 'agent.mcp_tool_result'
        and r.payload ->> 'mcp_tool_use_id' = e.id
    )
    on conflict (call_id) do nothing
"""


async def doubt(database: Database) -> int:
    """Every call that is open in this log may have been made where the log came from; how many."""
    return await database.execute(DOUBT)
