"""One line of thought: its conversation, its open calls, and what its last model request left behind.

A thread changes only by folding events; every method returns a new thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstead.harness import circles
from agentstead.harness.budget import NOTHING, Cost
from agentstead.harness.evolve import evolve
from agentstead.harness.growing import Growing
from agentstead.harness.steps import Call


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of the conversation: input, an assistant message, or the result of one call."""

    kind: str
    """input | system | assistant | result"""
    blocks: tuple[Mapping[str, Any], ...]
    provider_id: str | None = None
    """Of the call that a result answers."""
    is_error: bool = False


@dataclass(frozen=True)
class OpenCall:
    """A tool call without a result."""

    call: Call
    ordinal: int
    """Order in the session's log."""
    confirmed: str | None = None
    """The client's answer to an ask: allow | deny."""
    deny_message: str | None = None

    @property
    def awaits_client(self) -> bool:
        """It cannot go on without the client: a confirmation first, then perhaps the result."""
        return self.awaits_confirmation or (self.call.by_client and not self.denied)

    @property
    def awaits_confirmation(self) -> bool:
        """The client must allow or deny it."""
        return self.call.permission == "ask" and self.confirmed is None

    @property
    def denied(self) -> bool:
        """It will not be run."""
        return self.call.permission == "deny" or self.confirmed == "deny"


@dataclass(frozen=True, slots=True)
class RequestFault:
    """A model request that failed and about which nothing has been decided yet."""

    event_id: str
    """Of its `span.model_request_end`; also the seed of the back-off's jitter."""
    kind: str
    message: str
    retryable: bool
    retry_after: float | None
    at: float


@dataclass(frozen=True)
class Thread:
    """The state of a thread."""

    id: str
    agent: Mapping[str, Any]
    parent_id: str | None
    created_at: float
    status: str = "idle"
    """idle | running | rescheduling | terminated"""
    stop_reason: Mapping[str, Any] | None = None
    """Of its last idle."""
    transcript: Growing[Item] = field(default_factory=Growing)
    open: tuple[OpenCall, ...] = ()
    needs_model: bool = False
    """There is input or a complete set of results that no model request has seen."""
    request_id: str | None = None
    """The model request in the making."""
    partial_texts: tuple[Mapping[str, Any], ...] = ()
    partial_calls: tuple[Call, ...] = ()
    interrupted: bool = False
    fault: RequestFault | None = None
    failures: int = 0
    """Failed attempts of the request since the last that succeeded."""
    retry_at: float | None = None
    refusal: Mapping[str, Any] | None = None
    """The model refused; its `stop_details`."""
    full: bool = False
    """The conversation does not fit the model any more."""
    short: Mapping[str, Any] | None = None
    """What stood in the way of its next request: a budget above the session, and `until` when."""
    context_tokens: int = 0
    """Size of the conversation by the provider's last count."""
    failing: circles.Failing = field(default_factory=dict)
    """Calls that fail again and again."""
    usage: Mapping[str, int] | None = None
    cost: Cost = NOTHING
    active_seconds: float = 0.0
    active_since: float | None = None
    first_running_at: float | None = None

    @property
    def before_request(self) -> bool:
        """The model is to be asked next."""
        return self.needs_model and not self.open and self.request_id is None

    @property
    def name(self) -> str:
        """The agent's name."""
        return str(self.agent["name"])

    @property
    def busy(self) -> bool:
        """Running, about to, waiting for a retry, or with something to say: no time to be idle."""
        if self.status == "terminated":
            return False
        going = self.status in ("running", "rescheduling")
        going = going or (self.needs_model and not self.paused)
        return going or self.interrupted or bool(self.open and not self.announced)

    @property
    def paused(self) -> bool:
        """It has something to say to the model and stopped at the session's budget or one above it."""
        return self.needs_model and (self.stop_reason or {}).get("type") == "budget_reached"

    @property
    def announced(self) -> bool:
        """It waits for the client, and its last idle says for what."""
        listed = (self.stop_reason or {}).get("event_ids")
        return bool(self.blocking) and listed == [entry.call.id for entry in self.blocking]

    @property
    def blocking(self) -> tuple[OpenCall, ...]:
        """The calls that wait for the client."""
        return tuple(entry for entry in self.open if entry.awaits_client)

    @property
    def runnable(self) -> tuple[Call, ...]:
        """The calls that may run now.

        A call that had to be confirmed runs once nothing else of its thread awaits the client;
        calls that never had to ask do not wait for their siblings.
        """
        waiting = bool(self.blocking)
        return tuple(
            entry.call
            for entry in self.open
            if not entry.call.by_client
            and not entry.denied
            and (entry.call.permission == "allow" or (entry.confirmed == "allow" and not waiting))
        )

    def with_room(self) -> "Thread":
        """There may be room in the budgets now: what was put off is tried again."""
        reason = None if self.paused else self.stop_reason
        return evolve(self, stop_reason=reason, short=None)

    def find(self, call_id: str) -> OpenCall | None:
        """The open call of this id."""
        return next((entry for entry in self.open if entry.call.id == call_id), None)

    def with_input(self, blocks: tuple[Mapping[str, Any], ...]) -> "Thread":
        """New input for the model; it also ends an interruption, and a refusal is answered by it."""
        return evolve(
            self,
            transcript=self.transcript.plus(Item("input", blocks)),
            needs_model=True,
            interrupted=False,
            refusal=None,
            full=False,
            failing={},
        )

    def with_call(self, call: Call, ordinal: int) -> "Thread":
        """The model asked for this."""
        return evolve(
            self,
            open=(*self.open, OpenCall(call, ordinal)),
            partial_calls=(*self.partial_calls, call),
        )

    def with_confirmation(self, call_id: str, result: str, message: str | None) -> "Thread":
        """The client allowed or denied an ask; the first answer counts."""
        return evolve(
            self,
            open=tuple(
                evolve(entry, confirmed=result, deny_message=message)
                if entry.call.id == call_id and entry.confirmed is None
                else entry
                for entry in self.open
            ),
        )

    def with_result(
        self, call_id: str, blocks: tuple[Mapping[str, Any], ...], *, is_error: bool, warn_at: int
    ) -> "Thread":
        """A call has its result. A second one for the same call changes nothing.

        `warn_at`: so many equal failures are told to the model; 0: never.
        """
        entry = self.find(call_id)
        if entry is None:
            return self
        rest = tuple(other for other in self.open if other is not entry)
        failing = circles.after(self.failing, entry.call, blocks, is_error=is_error)
        if warn_at and is_error and circles.times(failing, entry.call) == warn_at:
            blocks = (*blocks, circles.note(warn_at))
        item = Item("result", blocks, entry.call.provider_id, is_error)
        return evolve(
            self,
            open=rest,
            transcript=self.transcript.plus(item),
            failing=failing,
            needs_model=self.needs_model or (not rest and not self.interrupted),
        )

    def with_request(self, request_id: str) -> "Thread":
        """A model request has begun."""
        return evolve(
            self,
            request_id=request_id,
            needs_model=False,
            partial_texts=(),
            partial_calls=(),
            retry_at=None,
            short=None,
        )

    def with_answer(self, layout: tuple[Mapping[str, Any], ...]) -> "Thread":
        """A model request has ended well; `layout` tells the order of its blocks."""
        blocks = tuple(self.block(entry) for entry in layout)
        transcript = self.transcript
        if blocks:
            transcript = transcript.plus(Item("assistant", blocks))
        return evolve(
            self,
            transcript=transcript,
            request_id=None,
            partial_texts=(),
            partial_calls=(),
            fault=None,
            failures=0,
        )

    def block(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        """A block of the assistant message: kept whole, or pointing at a text or a call."""
        if "text_index" in entry:
            text: Mapping[str, Any] = self.partial_texts[entry["text_index"]]
            return text
        if "call_index" in entry:
            call = self.partial_calls[entry["call_index"]]
            return {
                "type": "tool_use",
                "id": call.provider_id,
                "name": call.shown,
                "input": call.input,
            }
        return entry

    def moved(self, status: str, at: float) -> "Thread":
        """A new status at a time; keeps the running time."""
        active, since = self.active_seconds, self.active_since
        if since is not None and status != "running":
            active, since = active + max(at - since, 0.0), None
        elif since is None and status == "running":
            since = at
        first = self.first_running_at
        if first is None and status == "running":
            first = at
        return evolve(
            self,
            status=status,
            active_seconds=active,
            active_since=since,
            first_running_at=first,
        )
