"""Sessions, their threads and resources."""

from typing import Annotated, Any, Literal

from pydantic import Field

from agentstead.wire.answers.agent import SessionAgent, ThreadAgent
from agentstead.wire.answers.answer import Answer, Bag, Page, Time
from agentstead.wire.answers.events import BudgetOf, Status, StopReason, Usage
from agentstead.wire.resource import Branch, Commit


class Stats(Answer):
    """Times of a session, in seconds."""

    active_seconds: float
    duration_seconds: float


class FileMount(Answer):
    """A file of a session."""

    id: str
    type: Literal["file"]
    file_id: str
    mount_path: str
    created_at: Time
    updated_at: Time


class RepositoryMount(Answer):
    """A repository of a session."""

    id: str
    type: Literal["github_repository"]
    url: str
    mount_path: str
    checkout: Annotated[Branch | Commit, Field(discriminator="type")] | None
    created_at: Time
    updated_at: Time


class StoreMount(Answer):
    """A memory store of a session."""

    id: str
    type: Literal["memory_store"]
    memory_store_id: str
    access: Literal["read_write", "read_only"]
    instructions: str | None
    name: str
    description: str
    mount_path: str
    created_at: Time
    updated_at: Time


Mount = Annotated[FileMount | RepositoryMount | StoreMount, Field(discriminator="type")]


class MountPage(Page[Mount]):
    """A page of resources."""


class SessionExtension(Answer):
    """What this platform adds to a session."""

    priority: int | None = None
    """Before others of its workspace, or behind them; absent where it is 0."""
    stop_id: str | None = None
    """The stop that holds for it; absent where there is none."""


class Session(Answer):
    """A session."""

    id: str
    type: Literal["session"]
    agent: SessionAgent
    environment_id: str
    status: Status
    title: str | None
    metadata: Bag
    resources: list[Mount]
    vault_ids: list[str]
    budget: BudgetOf | None
    outcome_evaluations: list[dict[str, Any]]
    stats: Stats
    usage: Usage
    deployment_id: str | None
    created_at: Time
    updated_at: Time
    archived_at: Time | None
    agentstead: SessionExtension | None = None
    """Absent where there is nothing to say."""


class SessionWait(Answer):
    """How a wait for a session ended."""

    type: Literal["session_wait"]
    until: Literal["idle", "terminated"]
    timed_out: bool
    reason: str
    stop_reason: StopReason | None
    session: Session


class ThreadStats(Answer):
    """Times of a thread, in seconds."""

    active_seconds: float
    duration_seconds: float
    startup_seconds: float


class Thread(Answer):
    """A thread of a session."""

    id: str
    type: Literal["session_thread"]
    session_id: str
    agent: ThreadAgent
    parent_thread_id: str | None
    status: Status
    workflow_run_id: str | None
    stats: ThreadStats | None
    usage: Usage | None
    created_at: Time
    updated_at: Time
    archived_at: Time | None
