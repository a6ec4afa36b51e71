"""How a tool that works in the session's sandbox is run: check the input, hand the call over."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agentstead.sandbox.sandbox import Outcome
from agentstead.tools.input import given, problem
from agentstead.tools.tool import ToolCall


def in_sandbox(
    name: str,
    schema: Mapping[str, Any],
    check: Callable[[Mapping[str, Any]], str | None] = lambda _: None,
) -> Callable[[ToolCall], Awaitable[Outcome]]:
    """The `run` of a tool whose work a sandbox does; `check` says what else is wrong with an input."""

    async def run(call: ToolCall) -> Outcome:
        tool_input = given(call.input)
        wrong = problem(schema, tool_input) or check(tool_input)
        if wrong:
            return Outcome.text(f"{name}: {wrong}", is_error=True)
        return await call.sandbox.call(call.session_id, call.spec, call.id, name, tool_input)

    return run
