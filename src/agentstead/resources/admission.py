"""Which input is legal now: the decision of `events.send`, pure.

Promises: one bad event refuses all and nothing is written; an answer that comes twice or too late,
and an interrupt with nothing to interrupt, succeed without any effect (a synthetic echo, nothing in
the log). What is legal depends only on the locked facts of the session (`Desk`) and on the events
before it in the same request.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.clock import rfc3339
from agentstead.errors import Invalid
from agentstead.harness.place import by_client
from agentstead.log.log import CallFacts, Decide, Decision, Desk, Incoming
from agentstead.wire.budget import reached
from agentstead.wire.environment import self_hosted
from agentstead.wire.events.names import SETTLED_ON_RECEIPT
from agentstead.wire.events.params import (
    Param,
    SystemMessage,
    UserCustomToolResult,
    UserDefineOutcome,
    UserInterrupt,
    UserMessage,
    UserToolConfirmation,
    UserToolResult,
)


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as it was sent, with the id it has from now on."""

    param: Param
    id: str
    path: str
    """Where it stands in the request, e.g. `events.0`."""


@dataclass(slots=True)
class _Turn:
    """The session as it is after the events looked at so far."""

    desk: Desk
    at: float
    waiting: bool
    """Idle, and calls wait for answers."""
    busy: bool
    """A turn runs, or will run because of these events."""
    open: set[str]
    """Calls whose answers the session waits for."""
    awaits: dict[str, str | None] = field(default_factory=dict)
    """What calls await after the answers in this request; where it differs from the desk."""
    cut: bool = False
    """An interrupt came before in this request: answers after it are too late."""
    queue: list[Incoming] = field(default_factory=list)
    echoes: list[Mapping[str, Any]] = field(default_factory=list)
    starts: bool = False


def call_ids(events: Sequence[Sent]) -> tuple[str, ...]:
    """The calls that these events answer."""
    return tuple(
        dict.fromkeys(
            answered for sent in events if (answered := _answered(sent.param)) is not None
        )
    )


def _answered(param: Param) -> str | None:
    if isinstance(param, UserCustomToolResult):
        return param.custom_tool_use_id
    if isinstance(param, UserToolConfirmation | UserToolResult):
        return param.tool_use_id
    return None


def admit(events: Sequence[Sent], at: float, *, system_allowed: bool = True) -> Decide:
    """The decision over these events; `system_allowed`: the model takes system turns."""

    def decide(desk: Desk) -> Decision:
        if desk.archived or desk.status == "terminated":
            state = "archived" if desk.archived else "terminated"
            raise Invalid(f"Session {desk.session_id} is {state} and takes no more events.")
        check_budget(desk, events)
        turn = _Turn(
            desk=desk,
            at=at,
            waiting=desk.status == "idle" and _reason(desk) == "requires_action",
            busy=desk.status != "idle",
            open={ask.id for ask in desk.open_asks},
        )
        for place, sent in enumerate(events):
            _one(turn, events, place, sent, system_allowed=system_allowed)
        return Decision(
            queue=tuple(turn.queue),
            starts_work=turn.starts and desk.status == "idle",
            echoes=tuple(turn.echoes),
        )

    return decide


AT_THE_CAP = (UserToolConfirmation, UserToolResult, UserCustomToolResult, UserInterrupt)
"""What a session takes whose budget is used up: what starts no work."""


def check_budget(desk: Desk, events: Sequence[Sent]) -> None:
    """Nothing that starts work, once the budget is used up."""
    if reached(desk.budget, desk.list_cost):
        why = "The session has used up its budget"
    elif desk.short:
        why = "A budget above the session has no room for its next model request (/why names it)"
    else:
        return
    for sent in events:
        if not isinstance(sent.param, AT_THE_CAP):
            raise Invalid(
                f"{sent.path}.type: {why}; until that is raised or "
                "removed it takes only user.tool_confirmation, user.tool_result, "
                "user.custom_tool_result and user.interrupt."
            )


def _reason(desk: Desk) -> str | None:
    return None if desk.stop_reason is None else str(desk.stop_reason.get("type"))


def _one(
    turn: _Turn, events: Sequence[Sent], place: int, sent: Sent, *, system_allowed: bool
) -> None:
    match sent.param:
        case UserMessage():
            _message(turn, sent)
        case UserInterrupt():
            _interrupt(turn, sent, sent.param)
        case UserToolConfirmation():
            _confirmation(turn, sent, sent.param)
        case UserCustomToolResult():
            _custom_result(turn, sent, sent.param)
        case UserToolResult():
            _tool_result(turn, sent, sent.param)
        case UserDefineOutcome():
            refuse_outcome(sent.path)
        case SystemMessage():
            _system(turn, events, place, sent, allowed=system_allowed)


def refuse_outcome(path: str) -> None:
    """Outcomes need a grader."""
    raise Invalid(f"{path}.type: Outcomes are not available on this server yet.")


def _message(turn: _Turn, sent: Sent) -> None:
    if turn.waiting and turn.open:
        raise Invalid(
            f"{sent.path}: The session waits for answers to {', '.join(sorted(turn.open))}; "
            "answer each, or send user.interrupt, before a new user.message."
        )
    _queue(turn, sent, None)
    turn.busy = turn.starts = True


def _interrupt(turn: _Turn, sent: Sent, param: UserInterrupt) -> None:
    thread = param.session_thread_id
    if thread is not None:
        status = turn.desk.threads.get(thread)
        if status is None:
            raise Invalid(f"{sent.path}.session_thread_id: There is no thread {thread} here.")
        if status == "terminated":
            raise Invalid(f"{sent.path}.session_thread_id: Thread {thread} is terminated.")
    if not turn.busy and not turn.waiting:
        _echo(turn, sent)
        return
    _queue(turn, sent, thread)
    turn.starts = turn.starts or turn.waiting
    turn.waiting = False
    turn.open.clear()
    turn.busy = turn.cut = True


def _confirmation(turn: _Turn, sent: Sent, param: UserToolConfirmation) -> None:
    facts = _call(turn, sent, param.tool_use_id, "tool_use_id", "agent.tool_use")
    if facts.type == "agent.custom_tool_use":
        raise Invalid(
            f"{sent.path}.tool_use_id: {facts.id} is a custom tool; "
            "answer it with user.custom_tool_result."
        )
    if facts.permission != "ask":
        raise Invalid(
            f"{sent.path}.tool_use_id: {facts.id} does not ask for a confirmation "
            f'(its evaluated_permission is "{facts.permission}").'
        )
    follows = (
        param.result == "allow"
        and by_client(turn.desk.environment, "builtin", facts.name)
        and facts.type == "agent.tool_use"
    )
    _answer(turn, sent, facts, "confirmation", result_follows=follows)


def _custom_result(turn: _Turn, sent: Sent, param: UserCustomToolResult) -> None:
    name = "custom_tool_use_id"
    facts = _call(turn, sent, param.custom_tool_use_id, name, "agent.custom_tool_use")
    if facts.type != "agent.custom_tool_use":
        raise Invalid(f"{sent.path}.{name}: {facts.id} is not a custom tool; the platform runs it.")
    _answer(turn, sent, facts, "custom")


def _call(turn: _Turn, sent: Sent, call_id: str, name: str, kind: str) -> CallFacts:
    facts = turn.desk.calls.get(call_id)
    if facts is None:
        raise Invalid(f"{sent.path}.{name}: There is no {kind} event {call_id} in this session.")
    return facts


def _answer(
    turn: _Turn, sent: Sent, facts: CallFacts, kind: str, *, result_follows: bool = False
) -> None:
    """Queue an answer when the call awaits one of this kind; else it has no effect."""
    thread = None if facts.thread_id == turn.desk.primary_thread_id else facts.thread_id
    awaits = turn.awaits.get(facts.id, facts.awaits)
    if awaits != kind or turn.cut or not (turn.busy or facts.id in turn.open):
        _echo(turn, sent, thread)
        return
    _queue(turn, sent, facts.thread_id, thread)
    turn.awaits[facts.id] = "tool" if result_follows else None
    if result_follows:
        return
    turn.open.discard(facts.id)
    if turn.waiting and not turn.open:
        turn.waiting = False
        turn.busy = turn.starts = True


def _tool_result(turn: _Turn, sent: Sent, param: UserToolResult) -> None:
    if not self_hosted(turn.desk.environment):
        raise Invalid(
            f"{sent.path}.type: user.tool_result is only for sessions on self_hosted environments; "
            "here the platform runs the tools."
        )
    facts = _call(turn, sent, param.tool_use_id, "tool_use_id", "agent.tool_use")
    if facts.type != "agent.tool_use" or not by_client(
        turn.desk.environment, "builtin", facts.name
    ):
        how = (
            "answer it with user.custom_tool_result"
            if facts.type == "agent.custom_tool_use"
            else "the platform runs it"
        )
        raise Invalid(f"{sent.path}.tool_use_id: {facts.name} ({facts.id}) takes no result: {how}.")
    if turn.awaits.get(facts.id, facts.awaits) == "confirmation" and not turn.cut:
        raise Invalid(
            f"{sent.path}.tool_use_id: {facts.id} waits for a user.tool_confirmation first; "
            "it must not be run before."
        )
    _answer(turn, sent, facts, "tool")


BEFORE_SYSTEM = (UserMessage, UserToolResult, UserCustomToolResult)


def _system(turn: _Turn, events: Sequence[Sent], place: int, sent: Sent, *, allowed: bool) -> None:
    if any(isinstance(other.param, SystemMessage) for other in events[:place]):
        raise Invalid(f"{sent.path}: At most one system.message is allowed in a request.")
    if place != len(events) - 1:
        raise Invalid(f"{sent.path}: A system.message must be the last event of its request.")
    before = events[place - 1].param if place else None
    if before is not None and not isinstance(before, BEFORE_SYSTEM):
        raise Invalid(
            f"{sent.path}: A system.message must directly follow a user.message or a tool result."
        )
    if before is None and turn.waiting:
        raise Invalid(
            f"{sent.path}: While the session waits for answers, a system.message is only allowed "
            "directly after a tool result."
        )
    if not allowed:
        raise Invalid(
            f"{sent.path}.type: The agent's model takes no system messages within a conversation "
            "(model_does_not_support_mid_conversation_system).",
            code="model_does_not_support_mid_conversation_system",
        )
    _queue(turn, sent, None)


def _queue(turn: _Turn, sent: Sent, thread: str | None, shown: str | None = None) -> None:
    payload = echo(sent, turn.at, shown)
    turn.queue.append(Incoming(sent.id, sent.param.type, thread, payload))
    turn.echoes.append(payload)


def _echo(turn: _Turn, sent: Sent, shown: str | None = None) -> None:
    """A success without effect: settled at once, kept nowhere."""
    turn.echoes.append({**echo(sent, turn.at, shown), "processed_at": rfc3339(turn.at)})


def echo(sent: Sent, at: float, shown: str | None = None) -> dict[str, Any]:
    """The event as it is listed: fields as sent, with id and `processed_at`."""
    param = sent.param
    settled = param.type in SETTLED_ON_RECEIPT
    fields = {"id": sent.id, "type": param.type, **_fields(param, shown)}
    return {**fields, "processed_at": rfc3339(at) if settled else None}


def _fields(param: Param, shown: str | None) -> dict[str, Any]:
    said = param.as_sent()
    match param:
        case UserInterrupt():
            return {"session_thread_id": param.session_thread_id}
        case UserToolConfirmation():
            return {
                "tool_use_id": param.tool_use_id,
                "result": param.result,
                "deny_message": param.deny_message,
                "session_thread_id": shown,
            }
        case UserCustomToolResult():
            return {
                "custom_tool_use_id": param.custom_tool_use_id,
                "content": said.get("content") or [],
                "is_error": param.is_error,
                "session_thread_id": shown,
            }
        case UserToolResult():
            return {
                "tool_use_id": param.tool_use_id,
                "content": said.get("content") or [],
                "is_error": param.is_error,
                "session_thread_id": shown,
            }
        case UserMessage() | SystemMessage():
            return {"content": said["content"]}
        case UserDefineOutcome():
            raise AssertionError(f"{param.type} is refused before it is echoed")
