"""Secrets never reach a row.

Two kinds are masked in a payload: values the platform itself holds (anywhere), and well-known
shapes of keys, these only in what comes out of tools and models: the input of a call must stay
runnable, and what a client sends is its own. Ids never match.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from agentstead.log.rows import text_of

MASK = "[redacted]"
VALUE_CHARACTERS_MIN = 8
"""Shorter values would mask ordinary words."""
SESSIONS_MAX = 10_000
"""Sessions whose values are remembered: those that used one last."""

OUTPUTS = frozenset({
    "agent.message",
    "agent.tool_result",
    "agent.mcp_tool_result",
    "agent.thread_message_sent",
    "agent.thread_message_received",
    "session.error",
})  # fmt: skip

SHAPES = re.compile(
    r"sk-ant-[A-Za-z0-9_-]{20,}"
    r"|sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{32,}"
    r"|gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}"
    r"|xox[abprs]-[A-Za-z0-9-]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|AIza[A-Za-z0-9_-]{35}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[^-]|-(?!----END))*-----END [A-Z ]*PRIVATE KEY-----"
)


class Redactor:
    """Masks secrets in the JSON text of payloads."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values: set[str] = set()
        self.escaped: set[str] = set()
        """The same as they look inside JSON text."""
        for value in values:
            self.add(value)

    def add(self, value: str) -> None:
        """A value that must never be stored."""
        if len(value) >= VALUE_CHARACTERS_MIN:
            self.values.add(value)
            self.escaped.add(json.dumps(value)[1:-1])
            self.escaped.add(json.dumps(value, ensure_ascii=False)[1:-1])

    def clean(self, event_type: str, text: str) -> str:
        """The payload's JSON text without secrets; the same object when there were none."""
        shapes = event_type in OUTPUTS and hinted(text)
        if not shapes and not self.holds_value(text):
            return text
        payload = json.loads(text)
        masked = self.masked(payload, shapes=shapes)
        return text if masked == payload else text_of(masked)

    def without_values(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is stored or echoed of `payload`: the platform's values masked; else itself."""
        if not self.values or not self.holds_value(text_of(payload)):
            return payload
        masked: Mapping[str, Any] = self.masked(payload, shapes=False)
        return masked

    def holds_value(self, text: str) -> bool:
        """Whether a value of the platform is in this JSON text."""
        return any(value in text for value in self.escaped)

    def masked(self, value: Any, *, shapes: bool) -> Any:
        """Without secrets, string by string: masking the text itself could break an escape."""
        if isinstance(value, str):
            for secret in self.values:
                value = value.replace(secret, MASK)
            return SHAPES.sub(MASK, value) if shapes else value
        if isinstance(value, list):
            return [self.masked(each, shapes=shapes) for each in value]
        if isinstance(value, dict):
            return {name: self.masked(each, shapes=shapes) for name, each in value.items()}
        return value


class Redactors:
    """Of a process: the platform's own values are masked everywhere, those of a vault in the sessions that
    used them. What one tenant calls a secret may be another one's word."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._platform = Redactor(values)
        self._sessions: OrderedDict[str, Redactor] = OrderedDict()

    def keep(self, session_id: str, value: str) -> None:
        """A value that this session must not store from now on."""
        if session_id not in self._sessions:
            self._sessions[session_id] = Redactor(self._platform.values)
        self._sessions[session_id].add(value)
        self._sessions.move_to_end(session_id)
        if len(self._sessions) > SESSIONS_MAX:
            self._sessions.popitem(last=False)

    def of(self, session_id: str) -> Redactor:
        """What masks in a session."""
        return self._sessions.get(session_id, self._platform)


def hinted(text: str) -> bool:
    """Whether a shape may be in it; written out because it is asked of every output."""
    return (
        "sk-" in text
        or ("gh" in text and "_" in text)
        or "github_pat_" in text
        or "glpat-" in text
        or "xox" in text
        or "AKIA" in text
        or "ASIA" in text
        or "AIza" in text
        or "PRIVATE KEY" in text
    )
