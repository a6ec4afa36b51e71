"""Sessions: create, retrieve, list, update, archive, delete.

Promises: a session keeps the agent and environment it was made with; what is refused changes
nothing; a running session is neither archived nor deleted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.api.router import Call, Router
from agentstead.clock import rfc3339
from agentstead.errors import Invalid
from agentstead.ids import EVENT, SESSION, THREAD
from agentstead.log.log import Change, Incoming, NewSession, SessionRow
from agentstead.resources import agents, session_budget, vaults
from agentstead.resources.admission import Sent, echo, refuse_outcome
from agentstead.resources.agent_versions import at_version
from agentstead.resources.budgets.priced import check_priced_above
from agentstead.resources.content_files import check_files
from agentstead.resources.environments import environments, image_id
from agentstead.resources.session_list import list_sessions
from agentstead.resources.session_resources import attached, check_alive, rules_of
from agentstead.resources.skills.chosen import chosen
from agentstead.resources.skills.kept import keep_skills, skill_copies
from agentstead.store.table import Row
from agentstead.wire import agent as wire_agent
from agentstead.wire import environment as wire_environment
from agentstead.wire import multiagent as wire_multiagent
from agentstead.wire import session as wire
from agentstead.wire.answers.answer import Deleted, PageBothWays
from agentstead.wire.answers.session import Session
from agentstead.wire.content import DocumentBlock, FileSource
from agentstead.wire.events.params import Param, UserDefineOutcome, UserMessage
from agentstead.wire.events.stored import Event
from agentstead.wire.reference import AgentReference
from agentstead.wire.resource import check as check_resources
from agentstead.wire.session import AgentWithOverrides, SessionCreate, SessionUpdate
from agentstead.wire.shape import patch_metadata
from agentstead.wire.tool import check_tools

router = Router("Sessions")
INITIAL_DOCUMENTS_MAX = 100
"""Documents from files in all initial events together."""

FILTERS = (
    "agent_id", "agent_version", "deployment_id", "memory_store_id", "statuses[]",
    "created_at[gt]", "created_at[gte]", "created_at[lt]", "created_at[lte]",
    "include_archived", "order", "limit", "page",
)  # fmt: skip


@router.post("/v1/sessions", SessionCreate, answer=Session)
async def create(call: Call, body: SessionCreate) -> Mapping[str, Any]:
    """Create a session; with initial events it starts to work at once."""
    if not body.initial_events:
        return await created(call, body)
    async with call.services.pressure.entry(call.workspace_id) as entry:
        entry.begin()
        return await created(call, body)


async def created(call: Call, body: SessionCreate) -> Mapping[str, Any]:
    """A session, new."""
    agent = await resolve_agent(call, body.agent)
    environment = await usable_environment(call, body.environment_id)
    check_reachable(agent, environment["config"])
    if body.budget is not None:
        session_budget.check_priced(
            call.services.catalogue, agent, call.services.settings.judge_model
        )
    await check_priced_above(call, agent)
    copies = await skill_copies(call, agent["skills"])
    resources = body.resources or ()
    check_resources(resources, rules_of(call, environment["config"]["type"]))
    incoming = await initial(call, body.initial_events or ())
    vault_ids = await vaults.live(call, body.vault_ids or ())
    session_id = call.services.ids.new(SESSION)
    new = NewSession(
        id=session_id,
        workspace_id=call.workspace_id,
        primary_thread_id=call.services.ids.new(THREAD),
        agent_id=agent["id"],
        agent_version=agent["version"],
        agent=agent,
        environment_id=environment["id"],
        environment=await fixed(call, environment),
        title=body.title,
        metadata=patch_metadata({}, body.metadata),
        resources=await attached(call, session_id, resources),
        vault_ids=vault_ids,
        created_at=call.now,
        incoming=incoming,
        budget=None if body.budget is None else body.budget.as_sent(),
        priority=priority(body),
    )
    await keep_skills(call, session_id, copies)
    stopped_by = await call.services.log.create(new)
    # Not read again: once it is written, nothing may make the client believe that it is not.
    return wire.answer(fresh(new, stopped_by), call.now)


router.get("/v1/sessions", query=FILTERS, answer=PageBothWays[Session])(list_sessions)


@router.get("/v1/sessions/{session_id}", answer=Session)
async def retrieve(call: Call, session_id: str) -> Mapping[str, Any]:
    """Retrieve a session."""
    row = await call.services.log.retrieve(call.workspace_id, session_id)
    return wire.answer(row, call.services.clock.now())


@router.post("/v1/sessions/{session_id}", SessionUpdate, answer=Session)
async def update(call: Call, session_id: str, body: SessionUpdate) -> Mapping[str, Any]:
    """Change title, metadata, budget, or the agent's tools and servers for the turns to come."""
    given = body.given()
    if "vault_ids" in given:
        raise Invalid("vault_ids: The vaults of a session cannot be changed.")
    agent = body.agent.given() if body.agent is not None else {}
    models, judge = call.services.catalogue, call.services.settings.judge_model

    def decide(row: SessionRow) -> Change:
        check_alive(row)
        after: dict[str, Any] = {"metadata": patch_metadata(row.metadata, body.metadata)}
        if "title" in given:
            after["title"] = body.title
        if "agentstead" in given and priority_given(body):
            after["priority"] = priority(body)
        if agent:
            after["agent"] = updated_agent(row, agent)
        if "budget" in given:
            after["budget"] = session_budget.replaced(models, judge, row, body.budget)
        if agent and after.get("budget", row.budget) is not None:
            session_budget.check_priced(models, after["agent"], judge)
        columns = {name: value for name, value in after.items() if value != getattr(row, name)}
        if not columns:
            return Change({})
        told = wire.changed(row, after)
        shown = told or set(columns) - {"priority"}
        entries = (event(call, row, "session.updated", told),) if shown else ()
        wakes = "budget" in columns and session_budget.frees(row, columns["budget"])
        if wakes and session_budget.paused(row):
            columns["status"] = "running"
        return Change(columns, entries, wakes=wakes)

    row = await call.services.log.change(call.workspace_id, session_id, decide)
    return wire.answer(row, call.services.clock.now())


@router.post("/v1/sessions/{session_id}/archive", answer=Session)
async def archive(call: Call, session_id: str) -> Mapping[str, Any]:
    """Archive a session: it ends, its history stays."""

    def decide(row: SessionRow) -> Change:
        if row.archived_at is not None:
            return Change({})
        if row.status in ("running", "rescheduling"):
            raise Invalid(
                f'Session {row.id} cannot be archived while its status is "{row.status}". '
                "Only pending or idle sessions may be archived."
            )
        if row.status == "terminated":
            return Change({"archived_at": call.now})
        thread = {"session_thread_id": row.primary_thread_id, "agent_name": row.agent["name"]}
        return Change(
            {"status": "terminated", "archived_at": call.now, "terminated_at": call.now},
            (
                event(call, row, "session.thread_status_terminated", thread),
                event(call, row, "session.status_terminated", {}),
            ),
        )

    row = await call.services.log.change(call.workspace_id, session_id, decide)
    return wire.answer(row, call.services.clock.now())


@router.delete("/v1/sessions/{session_id}", answer=Deleted)
async def delete(call: Call, session_id: str) -> Mapping[str, Any]:
    """Delete a session and everything of it."""

    def check(row: SessionRow) -> None:
        if row.status in ("running", "rescheduling"):
            raise Invalid(
                "Cannot delete session while it is running. "
                "Send an interrupt event or wait for the session to complete."
            )

    await call.services.log.delete(call.workspace_id, session_id, check)
    return {"id": session_id, "type": "session_deleted"}


def priority(body: SessionCreate | SessionUpdate) -> int:
    """Before others of its workspace, or behind them."""
    return (body.agentstead.priority if body.agentstead is not None else None) or 0


def priority_given(body: SessionUpdate) -> bool:
    """Whether an update with `agentstead` changes it; null takes everything back."""
    return body.agentstead is None or "priority" in body.agentstead.given()


def fresh(new: NewSession, stopped_by: str | None) -> SessionRow:
    """The row of a session that has just been made."""
    works = bool(new.incoming) and stopped_by is None
    return SessionRow(
        id=new.id,
        workspace_id=new.workspace_id,
        primary_thread_id=new.primary_thread_id,
        agent_id=new.agent_id,
        agent_version=new.agent_version,
        agent=new.agent,
        environment_id=new.environment_id,
        environment=new.environment,
        title=new.title,
        metadata=new.metadata,
        resources=new.resources,
        vault_ids=new.vault_ids,
        status="running" if works else "idle",
        stop_reason=None,
        asks=(),
        usage={},
        stats={},
        active_since=new.created_at if works else None,
        created_at=new.created_at,
        updated_at=new.created_at,
        archived_at=None,
        terminated_at=None,
        head_seq=0,
        wake_at=new.created_at if works else None,
        lease_owner=None,
        lease_until=None,
        attempts=0,
        last_event_at=None,
        inbox_count=len(new.incoming),
        budget=new.budget,
        list_cost=0,
        priority=new.priority,
        stopped_by=stopped_by,
    )


def event(call: Call, row: SessionRow, name: str, fields: Mapping[str, Any]) -> Event:
    """An event that a route writes."""
    event_id = call.services.ids.new(EVENT)
    payload = {"id": event_id, "type": name, **fields, "processed_at": rfc3339(call.now)}
    return Event(event_id, name, row.primary_thread_id, payload, call.now)


def updated_agent(row: SessionRow, given: Mapping[str, Any]) -> dict[str, Any]:
    """The session's agent with other tools or servers."""
    if row.status != "idle":
        raise Invalid(
            f'agent: The session must be idle to change its agent; its status is "{row.status}".'
        )
    agent = dict(row.agent)
    if "tools" in given:
        agent["tools"] = wire_agent.tools(given["tools"])
    if "mcp_servers" in given:
        agent["mcp_servers"] = wire_agent.servers(given["mcp_servers"])
    try:
        check_tools(agent["tools"], agent["mcp_servers"], agent["skills"])
        check_reachable(agent, row.environment["config"])
    except Invalid as error:
        raise Invalid(f"agent.{error.message}", code=error.code) from None
    return agent


async def usable_environment(call: Call, environment_id: str) -> Row:
    """An environment that sessions can be made on."""
    row = await environments.retrieve(call.services.database, call.workspace_id, environment_id)
    if row["archived_at"] is not None:
        raise Invalid(
            f"environment_id: Environment {environment_id} is archived.",
            code="environment_archived",
        )
    return row


async def fixed(call: Call, environment: Row) -> dict[str, Any]:
    """The environment as the session keeps it: with the very image its sandbox is made from, whatever
    becomes of that name or of the default."""
    kept = wire_environment.answer(environment)
    if wire_environment.self_hosted(kept):
        return kept
    own = dict(kept.pop("agentstead", None) or {})
    image = await image_id(
        call, own.pop("image", None), f"environment_id: Environment {kept['id']} cannot be used"
    )
    own |= {"image": image} if image else {}
    return {**kept, "agentstead": own} if own else kept


async def resolve_agent(
    call: Call, given: str | AgentReference | AgentWithOverrides
) -> dict[str, Any]:
    """The snapshot of the agent that a session runs."""
    agent_id = given if isinstance(given, str) else given.id
    version = None if isinstance(given, str) else given.version
    row = await at_version(call.services.database, call.workspace_id, agent_id, version)
    if row["archived_at"] is not None:
        raise Invalid(f"agent: Agent {agent_id} is archived.")
    if missing := wire_multiagent.needs(row["body"]["multiagent"]):
        raise Invalid(
            f"agent: Agent {agent_id} has a multiagent block that needs {missing}, which are not "
            "available on this server yet; disable it in the block, or send multiagent: null."
        )
    snapshot = wire_agent.session_agent(wire_agent.answer(row))
    if isinstance(given, AgentWithOverrides):
        return await overridden(call, snapshot, given)
    agents.known_model(call.services, snapshot["model"]["id"])
    return snapshot


async def overridden(
    call: Call, snapshot: Mapping[str, Any], body: AgentWithOverrides
) -> dict[str, Any]:
    """A snapshot with its overrides, checked as a whole."""
    given, agent = body.given(), dict(snapshot)
    try:
        if "model" in given:
            agent["model"] = overriding_model(call, body)
        else:
            agents.known_model(call.services, agent["model"]["id"])
        if "system" in given:
            agent["system"] = body.system or None
        if "tools" in given:
            agent["tools"] = wire_agent.tools(body.tools)
        if "mcp_servers" in given:
            agent["mcp_servers"] = wire_agent.servers(body.mcp_servers)
        if "skills" in given:
            agent["skills"] = await chosen(call, body.skills)
        check_tools(agent["tools"], agent["mcp_servers"], agent["skills"])
    except Invalid as error:
        raise Invalid(f"agent.{error.message}", code=error.code) from None
    return agent


def overriding_model(call: Call, body: AgentWithOverrides) -> dict[str, Any]:
    """The model of an override; its effort is the model's own."""
    if body.model is None:
        raise Invalid(
            "model: A session needs a model (agent_model_required).", code="agent_model_required"
        )
    config = wire_agent.model_config(body.model)
    return agents.model(call.services, config.model_copy(update={"effort": None}))


def check_reachable(agent: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Servers of tools must be allowed by a limited network."""
    network = config.get("networking", {})
    if network.get("type") != "limited" or network["allow_mcp_servers"]:
        return
    for place, server in enumerate(agent["mcp_servers"]):
        host = wire_agent.host(server["url"])
        if host is not None and not wire_environment.allows(network["allowed_hosts"], host):
            raise Invalid(
                f'mcp_servers.{place}.url: The environment\'s network does not allow "{host}"; '
                "list it in allowed_hosts or set allow_mcp_servers."
            )


async def initial(call: Call, events: Sequence[Param]) -> tuple[Incoming, ...]:
    """The first input of a session."""
    sent = [
        Sent(param, call.services.ids.new(EVENT), f"initial_events.{place}")
        for place, param in enumerate(events)
    ]
    for one in sent:
        if not isinstance(one.param, UserMessage | UserDefineOutcome):
            raise Invalid(
                f"{one.path}.type: Only user.message and user.define_outcome can be initial events."
            )
    check_together(events)
    for one in sent:
        if isinstance(one.param, UserDefineOutcome):
            refuse_outcome(one.path)
    await check_files(call, sent)
    return tuple(Incoming(one.id, one.param.type, None, echo(one, call.now)) for one in sent)


def check_together(events: Sequence[Param]) -> None:
    """The rules over all initial events."""
    if sum(isinstance(one, UserDefineOutcome) for one in events) > 1:
        raise Invalid("initial_events: At most one user.define_outcome is allowed.")
    documents = sum(
        isinstance(block, DocumentBlock) and isinstance(block.source, FileSource)
        for one in events
        if isinstance(one, UserMessage)
        for block in one.content
    )
    if documents > INITIAL_DOCUMENTS_MAX:
        raise Invalid(
            f"initial_events: At most {INITIAL_DOCUMENTS_MAX} documents from files are allowed; "
            f"there are {documents}."
        )
