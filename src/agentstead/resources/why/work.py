"""What `/why` tells of a session's place in the work queue of its self-hosted environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.api.router import Call
from agentstead.log.log import SessionRow
from agentstead.resources.work.queue import POLLER_SECONDS
from agentstead.store.table import readable
from agentstead.wire.environment import self_hosted

LATEST = """
    select id, state, worker_id, created_at, available_at, acknowledged_at, heartbeat_at,
           stop_requested_at, stopped_at, reason
    from work where session_id = %s order by state = 'stopped', created_at desc, id desc limit 1
"""
POLLERS = """
    select max(seen_at) as polled_at,
           count(*) filter (where seen_at > clock_timestamp() - make_interval(secs => %s)) as polling,
           (select case when archived_at is null then 'open' else 'archived' end
              from environments e where e.id = %s) as environment
    from work_pollers where environment_id = %s
"""
HOW_TO_WORK = (
    "Start a worker of this environment (`EnvironmentWorker` with a key of `agentstead key create "
    "--environment {environment}`)."
)


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """The queue, as far as it concerns one session."""

    environment_id: str
    environment: str = "open"
    """open | archived | deleted"""
    item: Mapping[str, Any] | None = None
    """Its live work item, or the latest that it had; times as on the wire."""
    polling: int = 0
    """Workers that polled within half a minute."""
    polled_at: str | None = None
    """When one last did."""

    @property
    def text(self) -> str:
        """Where the session stands, as a sentence."""
        where = f"environment {self.environment_id}"
        if self.environment != "open":
            return f"It needs a worker of {where}, which is {self.environment}: nobody can take it."
        item = self.item or {"state": "stopped", "reason": None}
        who = f"Worker {item['worker_id']}" if item.get("worker_id") else "A worker"
        match item["state"]:
            case "queued":
                return f"It waits for a worker of {where}: {self.nobody}"
            case "starting":
                since = item["acknowledged_at"]
                return f"{who} of {where} took it at {since} and has sent no heartbeat yet."
            case "active":
                return f"{who} of {where} has it; its last heartbeat came {item['heartbeat_at']}."
            case "stopping":
                return f"{who} of {where} has it and was asked to stop: {item['reason']}"
            case _:
                pass
        told = f" {item['reason']}" if item["reason"] else ""
        return f"It is not offered to the workers of {where}.{told}"

    @property
    def nobody(self) -> str:
        """Who polls, or since when nobody does."""
        if self.polling:
            return f"{self.polling} poll{'s' if self.polling == 1 else ''} its queue."
        if self.polled_at is None:
            return "nobody has polled its queue lately."
        return f"nobody polls its queue since {self.polled_at}."

    @property
    def next_action(self) -> str:
        """What the reader can do."""
        if self.environment != "open":
            return "Answer the calls with user.tool_result yourself, or send user.interrupt."
        state = self.item["state"] if self.item else "stopped"
        if state == "queued" and not self.polling:
            return HOW_TO_WORK.format(environment=self.environment_id)
        if state == "stopped":
            return (
                "Look at the workers' logs; answer the calls with user.tool_result, or send "
                "user.interrupt and a new message: that queues it again."
            )
        return "Wait, or send user.interrupt."

    def answer(self) -> dict[str, Any]:
        """For programs."""
        item = self.item or {}
        return {
            "environment_id": self.environment_id,
            "work_id": item.get("id"),
            "state": item.get("state"),
            "worker_id": item.get("worker_id"),
            "latest_heartbeat_at": item.get("heartbeat_at"),
            "reason": item.get("reason"),
            "workers_polling": self.polling,
            "polled_at": self.polled_at,
        }


async def gather_work(call: Call, row: SessionRow) -> WorkFacts | None:
    """Read them; None on environments of the platform."""
    if not self_hosted(row.environment):
        return None
    database = call.services.database
    item = await database.fetch_one(LATEST, (row.id,))
    environment_id = row.environment_id
    seen = await database.fetch_one(POLLERS, (POLLER_SECONDS, environment_id, environment_id))
    assert seen
    told = readable(seen)
    return WorkFacts(
        environment_id,
        told["environment"] or "deleted",
        readable(item) if item else None,
        told["polling"],
        told["polled_at"],
    )
