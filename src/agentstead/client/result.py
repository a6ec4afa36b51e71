"""What came of a run, and what may stand in its way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.errors import AgentsteadError

CENTS = 100


@dataclass(frozen=True, slots=True)
class Called:
    """One call of a tool."""

    id: str
    name: str
    input: Mapping[str, Any]
    output: str | None = None
    """The text of its result; None: it has none yet."""
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A run that came to its end."""

    text: str
    """Of the last message."""
    tool_calls: Sequence[Called]
    session_id: str
    files: Sequence[Mapping[str, Any]] = ()
    """Handed over by the session, as the Files API describes them."""
    usage: Mapping[str, Any] = field(default_factory=dict)
    cost: float | None = None
    """In dollars, by list prices; None: the model has none."""


class ApprovalNeeded(AgentsteadError):
    """The agent asks whether it may call a tool, and nobody here answers."""

    def __init__(self, session_id: str, calls: Sequence[Called]) -> None:
        self.session_id = session_id
        self.calls = tuple(calls)
        self.ids = tuple(call.id for call in calls)
        asked = ", ".join(f"{call.name} ({call.id})" for call in calls)
        super().__init__(
            f"The agent asks whether it may call {asked}. Give on_ask to decide, or answer in session "
            f"{session_id}."
        )


class RunStopped(AgentsteadError):
    """A run ended without coming to its end."""

    def __init__(self, session_id: str, reason: str, message: str = "") -> None:
        self.session_id = session_id
        self.reason = reason
        super().__init__(
            f"The run stopped: {reason}. {message}".strip() + f" Session {session_id} tells more."
        )


class NotAvailableYet(AgentsteadError):
    """This part of the platform does not exist yet."""


def cost_of(usage: Mapping[str, Any]) -> float | None:
    """Dollars of a session's usage."""
    cost = usage.get("list_cost")
    return None if not cost else float(cost["amount"]) / CENTS
