"""Every decision on a tool call has its row in the audit trail."""

from agentstead.clock import SystemClock
from agentstead.ids import RandomIds
from agentstead.log.event_log import EventLog
from agentstead.store.audit import Actor, acting
from agentstead.store.pool import Database
from tests.support.sessions import a_session, claim_one, derived, event, incoming, message, queues

ASKED = {"evaluated_permission": "ask", "evaluation": {"type": "always_ask"}}


async def test_verdicts_and_answers_are_audited_with_their_rule(database: Database) -> None:
    async with EventLog(database, ids=RandomIds(), clock=SystemClock()) as log:
        new = a_session(message())
        await log.create(new)
        lease = await claim_one(log, "worker_7")
        asked = event(new, "agent.tool_use", name="write", input={}, **ASKED)
        unknown = event(new, "agent.tool_use", name="fly", input={}, evaluated_permission="deny")
        custom = event(new, "agent.custom_tool_use", name="lookup", input={})
        await log.append(lease, [asked, unknown, custom], seen=0, derived=derived(new))
        answer = incoming("user.tool_confirmation", tool_use_id=asked.id, result="deny")
        with acting(Actor("apikey_1", "127.0.0.1")):
            await log.accept(new.workspace_id, new.id, [asked.id], queues(answer, starts=False))
    rows = await database.fetch(
        "select actor, action, target_id, decision, rule, source, detail from audit"
        " where action like 'tool.%%' order by action desc, decision"
    )
    where = {"session_id": new.id}
    assert rows == [
        {
            "actor": "worker_7", "action": "tool.judge", "target_id": asked.id, "decision": "ask",
            "rule": "always_ask", "source": None, "detail": {**where, "tool": "write"},
        },
        {
            "actor": "worker_7", "action": "tool.judge", "target_id": unknown.id,
            "decision": "deny", "rule": "not_enabled", "source": None,
            "detail": {**where, "tool": "fly"},
        },
        {
            "actor": "apikey_1", "action": "tool.confirm", "target_id": asked.id,
            "decision": "deny", "rule": None, "source": "127.0.0.1", "detail": {},
        },
    ]  # fmt: skip
