"""`agentstead stop`: the kill switch, at the database, whether the server runs or not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from agentstead.cli.key import DatabaseUrl, DataDir, ask, note

if TYPE_CHECKING:
    from agentstead.log.event_log import EventLog
    from agentstead.store.pool import Database


def stop(
    everything: Annotated[bool, Option("--all", help="Stop every session.")] = False,
    agent: Annotated[str | None, Option(help="Stop this agent's sessions.")] = None,
    metadata: Annotated[
        list[str] | None, Option(help="Stop sessions with key=value; all of them, when repeated.")
    ] = None,
    session: Annotated[str | None, Option(help="Stop this session.")] = None,
    reason: Annotated[str | None, Option(help="Why; shown to clients and kept.")] = None,
    lift: Annotated[str | None, Option(help="Lift the stop with this id.")] = None,
    show: Annotated[bool, Option("--list", help="List the stops in force.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Stop sessions at once: end their turns and calls, let none begin until the stop is lifted."""
    from agentstead.resources.stops import answer

    scope = chosen(everything=everything, agent=agent, metadata=metadata or [], session=session)
    check(scope, lift, reason, show=show)
    if show:
        stops = ask(found, data_dir, database_url)
        for each in stops:
            line(answer(each))
        if not stops:
            note("no stop is in force")
        return
    if lift is not None:
        lifted = ask(lambda database: lifted_by_hand(database, lift), data_dir, database_url)
        note(f"stop {lifted.id} is lifted since {answer(lifted)['lifted_at']}")
        return
    imposed = ask(lambda database: stopped(database, scope or {}, reason), data_dir, database_url)
    print(imposed.id)
    note(
        f"{imposed.sessions} sessions are stopped, {imposed.interrupted} of them worked and were"
        f" interrupted; lift it with: agentstead stop --lift {imposed.id}"
    )


def chosen(
    *, everything: bool, agent: str | None, metadata: list[str], session: str | None
) -> dict[str, Any] | None:
    """The scope as on the wire; None: none was given."""
    from agentstead.errors import Misconfigured

    scopes: list[dict[str, Any]] = []
    if everything:
        scopes.append({"type": "all"})
    if agent is not None:
        scopes.append({"type": "agent", "agent_id": agent})
    if session is not None:
        scopes.append({"type": "session", "session_id": session})
    if metadata:
        if not all("=" in pair for pair in metadata):
            raise Misconfigured("--metadata takes key=value.")
        pairs = dict(pair.split("=", 1) for pair in metadata)
        scopes.append({"type": "metadata", "metadata": pairs})
    if len(scopes) > 1:
        raise Misconfigured("Give one of --all, --agent, --metadata and --session.")
    return scopes[0] if scopes else None


def check(
    scope: Mapping[str, Any] | None, lift: str | None, reason: str | None, *, show: bool
) -> None:
    """One thing at a time, and a stop has a reason."""
    from agentstead.errors import Misconfigured

    if (scope is not None) + (lift is not None) + show != 1:
        raise Misconfigured(
            "Say whom to stop (--all, --agent, --metadata or --session), or --list, or --lift ID."
        )
    if scope is not None and not reason:
        raise Misconfigured("--reason: Say why; clients and the audit trail are told.")


def line(stop: Mapping[str, Any]) -> None:
    """One stop."""
    scope = dict(stop["scope"])
    kind = scope.pop("type")
    which = " ".join(
        f"{key}={value}" for each in scope.values() for key, value in pairs(each).items()
    )
    about = f"{kind} {which}".strip()
    print(f"{stop['id']}  {stop['created_at']}  {stop['created_by']}  {about}  {stop['reason']}")


def pairs(value: Any) -> dict[str, str]:
    """What a scope names."""
    return dict(value) if isinstance(value, Mapping) else {"id": str(value)}


async def found(database: "Database") -> Any:
    """The stops in force."""
    from agentstead.log.stopping import listed
    from agentstead.store.workspace import DEFAULT_WORKSPACE

    return await listed(database, DEFAULT_WORKSPACE, lifted=False, after=None, limit=1000)


async def stopped(database: "Database", scope: Mapping[str, Any], reason: str | None) -> Any:
    """Stop them; workers that run hear of it by a notice, or at their next look."""
    import json

    from agentstead.clock import SystemClock
    from agentstead.ids import STOP, RandomIds
    from agentstead.resources.stops import StopCreate, made
    from agentstead.store.workspace import DEFAULT_WORKSPACE
    from agentstead.wire.shape import parse

    body = parse(StopCreate, json.dumps({"scope": scope, "reason": reason}).encode())
    now, stop_id = SystemClock().now(), RandomIds().new(STOP)
    return await log_of(database).stop(made(stop_id, DEFAULT_WORKSPACE, body, now, whoami()))


async def lifted_by_hand(database: "Database", stop_id: str) -> Any:
    """Lift one."""
    from agentstead.store.workspace import DEFAULT_WORKSPACE

    return await log_of(database).lift(DEFAULT_WORKSPACE, stop_id, whoami())


def log_of(database: "Database") -> "EventLog":
    """The log, only to write."""
    from agentstead.clock import SystemClock
    from agentstead.ids import RandomIds
    from agentstead.log.event_log import EventLog

    return EventLog(database, ids=RandomIds(), clock=SystemClock())


def whoami() -> str:
    """Who gave the command."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):  # a uid without a name
        return "cli"
