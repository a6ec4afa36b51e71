"""The work queue of self-hosted environments."""

from typing import Any, Literal

from agentstead.wire.answers.answer import Answer, Bag, Time

State = Literal["queued", "starting", "active", "stopping", "stopped"]


class WorkFor(Answer):
    """What a worker is wanted for."""

    type: Literal["session"]
    id: str


class Work(Answer):
    """A work item."""

    id: str
    type: Literal["work"]
    environment_id: str
    data: WorkFor
    state: State
    secret: str | None
    metadata: Bag
    created_at: Time
    acknowledged_at: Time | None
    started_at: Time | None
    latest_heartbeat_at: Time | None
    stop_requested_at: Time | None
    stopped_at: Time | None
    agentstead: dict[str, Any] | None = None
    """Why it ended or was queued again; absent where there is nothing to say."""


Polled = Work | None
"""The oldest item; null when there is none."""


class WorkHeartbeat(Answer):
    """How a lease stands."""

    type: Literal["work_heartbeat"]
    last_heartbeat: str
    lease_extended: bool
    state: State
    ttl_seconds: int


class WorkQueueStats(Answer):
    """How a queue stands."""

    type: Literal["work_queue_stats"]
    depth: int
    pending: int
    oldest_queued_at: Time | None
    workers_polling: int | None
