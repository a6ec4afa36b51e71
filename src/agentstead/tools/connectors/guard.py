"""What every call of a connector goes through, whatever its kind.

In this order: is the tool granted, is the input what its schema says, is the target left alone, is it
this call's turn; then the call, with a time limit for each attempt, again after a fault where that can
do no harm. Promises: what is not granted is refused here even if it was offered once; a write goes out
again only after a fault that says that nothing was done; a model reads what happened, never a stack.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs

from agentstead.clock import Clock
from agentstead.errors import ConnectorFault
from agentstead.sandbox.sandbox import Outcome
from agentstead.telemetry import logs
from agentstead.tools.connectors.breaker import Breaker
from agentstead.tools.connectors.connector import (
    Connector,
    ConnectorCall,
    ConnectorTool,
    Declared,
)
from agentstead.tools.connectors.rate import Rates
from agentstead.tools.tool import Effect, given
from agentstead.wire.shape import canonical

log = logs.get("connectors")

NOTHING_DONE = frozenset({"unreachable", "rate_limited"})
"""Faults after which even a write may go out again."""
ONCE_MORE = frozenset({"unreachable", "rate_limited", "cut", "timeout"})
"""The same for a read."""
FIRST_SECONDS = 0.25
RETRY_SECONDS_MAX = 20.0
"""Whoever asks to be left alone for longer is not called again by the platform itself."""
WORDS: Mapping[str, str] = {
    "denied": "permission denied",
    "invalid": "invalid input",
    "rate_limited": "rate limited, nothing was done",
    "circuit_open": "nothing was done",
    "unreachable": "not reached, nothing was done",
    "auth": "access refused",
    "refused": "refused",
    "too_large": "done, but the answer is too large",
}
UNKNOWN = "outcome unknown"
NO_ANSWER = "no answer"
ONLY: Mapping[frozenset[str], str] = {
    frozenset({"read"}): "is read-only",
    frozenset({"write"}): "is write-only",
    frozenset(): "has no permission at all",
}


class Guard:
    """Calls of all connectors of a process."""

    def __init__(self, clock: Clock, rates: Rates) -> None:
        self.clock = clock
        self.rates = rates
        self.breakers: defaultdict[str, Breaker] = defaultdict(lambda: Breaker(clock))
        """By id of the connector."""

    async def call(
        self,
        declared: Declared,
        connector: Connector,
        tool: str,
        arguments: Mapping[str, Any],
        key: str,
        session_id: str | None = None,
    ) -> Outcome:
        """The result, or in its place what went wrong, in words for a model."""
        found: ConnectorTool | None = None
        try:
            found = _granted(declared, connector.tools, tool)
            call = ConnectorCall(found, given(arguments), key, session_id)
            _check(found, call.input)
            return await self._attempts(declared, connector, call)
        except ConnectorFault as fault:
            return Outcome.text(told(fault, found), is_error=True)

    async def _attempts(
        self, declared: Declared, connector: Connector, call: ConnectorCall
    ) -> Outcome:
        breaker = self.breakers[declared.id]
        for attempt in range(declared.retries_max + 1):
            breaker.admit(declared.name)
            await self._turn(declared, call)
            try:
                outcome = await _in_time(declared, connector, call)
            except ConnectorFault as fault:
                breaker.heard(fault)
                delay = fault.retry_after or FIRST_SECONDS * 2**attempt
                last = attempt == declared.retries_max or delay > RETRY_SECONDS_MAX
                if last or not _again(call.tool, fault):
                    raise
                await self.clock.sleep(delay)
            else:
                breaker.heard(None)
                return outcome
        raise AssertionError("the last attempt returns or raises")

    async def _turn(self, declared: Declared, call: ConnectorCall) -> None:
        if declared.rate is not None:
            await self.rates.take(declared.workspace_id, declared.id, declared.rate)
        if declared.session_rate is not None and call.session_id is not None:
            key = f"{declared.id}:{call.session_id}"
            await self.rates.take(declared.workspace_id, key, declared.session_rate)


async def _in_time(declared: Declared, connector: Connector, call: ConnectorCall) -> Outcome:
    try:
        async with asyncio.timeout(declared.timeout_seconds):
            return await connector.call(call)
    except TimeoutError:
        raise ConnectorFault(
            f"{declared.name} did not answer within {declared.timeout_seconds:g} s.", kind="timeout"
        ) from None
    except ConnectorFault:
        raise
    except Exception as error:  # drivers raise all sorts; a session must not end of one
        log.exception("a connector failed", connector=declared.id, tool=call.tool.name)
        raise ConnectorFault(
            f"{declared.name} failed ({type(error).__name__}); the platform's log says how."
        ) from None


def _again(tool: ConnectorTool, fault: ConnectorFault) -> bool:
    if tool.repeatable:
        return fault.retryable or fault.kind in ONCE_MORE
    return fault.kind in NOTHING_DONE


def granted(declared: Declared, tools: Sequence[ConnectorTool]) -> list[ConnectorTool]:
    """The tools that the permissions leave."""
    return [tool for tool in tools if declared.grants(tool.effect)]


def _granted(declared: Declared, tools: Sequence[ConnectorTool], name: str) -> ConnectorTool:
    tool = next((one for one in tools if one.name == name), None)
    if tool is None:
        there = ", ".join(one.name for one in granted(declared, tools)) or "none"
        raise ConnectorFault(f"there is no tool {name}; there are: {there}.", kind="invalid")
    if not declared.grants(tool.effect):
        raise denied(declared, tool.effect)
    return tool


def denied(declared: Declared, effect: Effect) -> ConnectorFault:
    """The fault of a call that the permissions do not allow."""
    allowed = frozenset(name for name, granted in declared.permissions.items() if granted)
    what = ONLY.get(allowed, f"may not {effect.value}")
    return ConnectorFault(f"{declared.name} {what}.", kind="denied")


def _check(tool: ConnectorTool, tool_input: Mapping[str, Any]) -> None:
    """The input against the tool's schema; names the field."""
    validator = _validator(canonical(tool.input_schema))
    fault = next(validator.iter_errors(dict(tool_input)), None)
    if fault is not None:
        path = ".".join(str(step) for step in fault.instance_path)
        raise ConnectorFault(f"{path}: {fault.message}" if path else fault.message, kind="invalid")


@lru_cache(maxsize=512)
def _validator(schema: str) -> Any:
    return jsonschema_rs.validator_for(schema, retriever=_nowhere)


def _nowhere(uri: str) -> Any:
    """A schema may not send the platform to some address."""
    raise ValueError(f"{uri} is not part of the schema")


def told(fault: ConnectorFault, tool: ConnectorTool | None) -> str:
    """What a model reads of a fault."""
    unknown = UNKNOWN if tool is not None and not tool.repeatable else NO_ANSWER
    message = f"{WORDS.get(fault.kind, unknown)}: {fault.message}"
    if fault.kind not in WORDS and unknown == UNKNOWN:
        message += (
            " It has not been called again; look at what it may have changed before you repeat it."
        )
    return message
