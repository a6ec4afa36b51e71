"""Stops, the kill switch: all sessions of a workspace, an agent's, those with some metadata, or one.

An extension of the wire. Promises: once a stop is answered, no session that matches begins a model
request, and calls that were under way are ended within a worker's next look (a second, a lost notice
included); what is sent meanwhile waits and goes on when the stop is lifted; who stopped and lifted, when
and why is in the stop and in the audit trail.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.errors import NotFound
from agentstead.ids import STOP
from agentstead.log import stopping
from agentstead.log.log import Stop
from agentstead.resources.listing import LIMIT, LIMIT_MAX, place
from agentstead.wire.answers import stop as answers
from agentstead.wire.answers.answer import Page
from agentstead.wire.shape import Id, Metadata, OneOf, Shape, Text

router = Router("Stops")
KIND = "stops"

Reason = Annotated[Text, StringConstraints(min_length=1, max_length=1000)]


class Everything(Shape):
    """Every session of the workspace, and every one to come."""

    type: Literal["all"]


class OfAgent(Shape):
    """The sessions of one agent, whatever its version."""

    type: Literal["agent"]
    agent_id: Id


class OfSession(Shape):
    """One session."""

    type: Literal["session"]
    session_id: Id


class WithMetadata(Shape):
    """The sessions that have all these pairs in their metadata."""

    type: Literal["metadata"]
    metadata: Annotated[Metadata, Field(min_length=1)]


Scope = Annotated[Everything | OfAgent | OfSession | WithMetadata, OneOf()]


class StopCreate(Shape):
    """Whom to stop, and why."""

    scope: Scope
    reason: Reason


@router.post("/v1/stops", StopCreate, answer=answers.Stop)
async def create(call: Call, body: StopCreate) -> Mapping[str, Any]:
    """Stop sessions: interrupt those that work, let none begin anything until the stop is lifted."""
    await check(call, body.scope)
    stop = await call.services.log.stop(
        made(call.services.ids.new(STOP), call.workspace_id, body, call.now, call.caller.key_id)
    )
    return answer(stop)


@router.get("/v1/stops", query=("include_lifted", "limit", "page"), answer=Page[answers.Stop])
async def list_stops(call: Call) -> Mapping[str, Any]:
    """List stops in force, newest first; those that were lifted too, when asked for."""
    after = cursor(call.query, KIND, "desc", (str, str))
    most = limit(call.query, LIMIT, LIMIT_MAX)
    found = await stopping.listed(
        call.services.database,
        call.workspace_id,
        lifted=bool(call.query.flag("include_lifted")),
        after=place(after) if after else None,
        limit=most + 1,
    )
    shown = [answer(stop) for stop in found[:most]]
    more = len(found) > most
    last = Cursor(KIND, "desc", (shown[-1]["created_at"], shown[-1]["id"])) if more else None
    return page(shown, last)


@router.get("/v1/stops/{stop_id}", answer=answers.Stop)
async def retrieve(call: Call, stop_id: str) -> Mapping[str, Any]:
    """Retrieve a stop."""
    return answer(await stopping.retrieve(call.services.database, call.workspace_id, stop_id))


@router.post("/v1/stops/{stop_id}/lift", answer=answers.Stop)
async def lift(call: Call, stop_id: str) -> Mapping[str, Any]:
    """Lift a stop: its sessions take in what was sent meanwhile. Repeating it changes nothing."""
    return answer(await call.services.log.lift(call.workspace_id, stop_id, call.caller.key_id))


async def check(call: Call, scope: Scope) -> None:
    """What is named is there: a stop that matches nothing because of a typing error helps nobody."""
    if isinstance(scope, OfSession):
        await call.services.log.retrieve(call.workspace_id, scope.session_id)
    if isinstance(scope, OfAgent):
        known = await call.services.database.fetch_one(
            "select 1 from agents where workspace_id = %s and id = %s",
            (call.workspace_id, scope.agent_id),
        )
        if known is None:
            raise NotFound(f"There is no agent {scope.agent_id}.")


def made(stop_id: str, workspace_id: str, body: StopCreate, at: float, by: str) -> Stop:
    """A stop to be."""
    scope = body.scope
    return Stop(
        stop_id,
        workspace_id,
        body.reason,
        at,
        by,
        agent_id=scope.agent_id if isinstance(scope, OfAgent) else None,
        session_id=scope.session_id if isinstance(scope, OfSession) else None,
        metadata=scope.metadata if isinstance(scope, WithMetadata) else None,
    )


def answer(stop: Stop) -> dict[str, Any]:
    """As it is answered."""
    return {
        "id": stop.id,
        "type": "stop",
        **stopping.scope(stop),
        "reason": stop.reason,
        "created_at": rfc3339(stop.created_at),
        "created_by": stop.created_by,
        "sessions": stop.sessions,
        "sessions_interrupted": stop.interrupted,
        "lifted_at": None if stop.lifted_at is None else rfc3339(stop.lifted_at),
        "lifted_by": stop.lifted_by,
    }
