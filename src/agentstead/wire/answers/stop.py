"""Stops, of the kill switch."""

from typing import Annotated, Literal

from pydantic import Field

from agentstead.wire.answers.answer import Answer, Bag, Time


class StopOfAll(Answer):
    """The whole workspace."""

    type: Literal["all"]


class StopOfAgent(Answer):
    """One agent's sessions."""

    type: Literal["agent"]
    agent_id: str


class StopOfSession(Answer):
    """One session."""

    type: Literal["session"]
    session_id: str


class StopOfMetadata(Answer):
    """Sessions with these pairs."""

    type: Literal["metadata"]
    metadata: Bag


class Stop(Answer):
    """The operator's word that sessions do nothing."""

    id: str
    type: Literal["stop"]
    scope: Annotated[
        StopOfAll | StopOfAgent | StopOfSession | StopOfMetadata, Field(discriminator="type")
    ]
    reason: str
    created_at: Time
    created_by: str
    """Id of the key, or the user of the machine whose command it was."""
    sessions: int
    """How many it found; more may have come since."""
    sessions_interrupted: int
    lifted_at: Time | None
    lifted_by: str | None
