"""The tools as the worker sees them: what they take, what they refuse, where they run."""

import importlib
from typing import Any, get_args

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome, SandboxSpec
from agentstead.testing.fake_sandbox import FakeSandbox
from agentstead.tools import NOT_YET, OFFERED, TOOLS, load
from agentstead.tools.tool import Effect, Tool, ToolCall
from tests.support.sandboxes import text


async def run(tool: Tool, tool_input: dict[str, Any]) -> tuple[Outcome, FakeSandbox]:
    sandbox = FakeSandbox(SystemClock())
    call = ToolCall("sevt_1", "sesn_1", tool_input, sandbox, SandboxSpec())
    return await tool.run(call), sandbox


def test_the_registry_names_every_tool() -> None:
    tools = load()
    assert tuple(tools) == OFFERED == ("bash", "read", "write", "edit", "glob", "grep")
    assert set(NOT_YET) == {"web_fetch", "web_search"}
    assert not set(NOT_YET) & set(TOOLS)
    assert {name for name, tool in tools.items() if tool.effect is Effect.READ} == {
        "read",
        "glob",
        "grep",
    }


@pytest.mark.parametrize("name", TOOLS)
def test_the_official_sdk_has_the_same_fields(name: str) -> None:
    module = importlib.import_module(
        f"anthropic.types.beta.beta_managed_agents_agent_toolset20260401_{name}_input"
    )
    title = f"BetaManagedAgentsAgentToolset20260401{name.capitalize()}Input"
    official = getattr(module, title).model_fields
    schema = load()[name].input_schema
    assert set(schema["properties"]) == set(official)
    required = {field for field, info in official.items() if info.is_required()}
    assert set(schema.get("required", ())) == required
    for field, info in official.items():
        kinds = {str: "string", bool: "boolean", int: "integer"}
        (kind,) = [each for each in get_args(info.annotation) or [info.annotation]
                   if each is not type(None)]  # fmt: skip
        assert schema["properties"][field]["type"] == kinds.get(kind, "array")


@pytest.mark.parametrize("name", TOOLS)
def test_the_model_reads_what_a_tool_is(name: str) -> None:
    tool = load()[name]
    assert len(tool.description) > 100
    assert tool.input_schema["additionalProperties"] is False
    assert all(field["description"] or True for field in tool.input_schema["properties"].values())


@pytest.mark.parametrize(
    ("name", "tool_input", "passed_on"),
    [
        ("bash", {"command": "ls"}, {"command": "ls"}),
        ("bash", {"restart": True, "command": None}, {"restart": True}),
        ("bash", {"command": "ls", "timeout_ms": 0}, {"command": "ls", "timeout_ms": 0}),
        ("read", {"file_path": "x", "view_range": None}, {"file_path": "x"}),
        (
            "read",
            {"file_path": "x", "view_range": [1, -1]},
            {"file_path": "x", "view_range": [1, -1]},
        ),
        ("write", {"file_path": "x", "content": ""}, {"file_path": "x", "content": ""}),
    ],
)
async def test_good_input_goes_to_the_sandbox_under_the_calls_id(
    name: str, tool_input: dict[str, Any], passed_on: dict[str, Any]
) -> None:
    outcome, sandbox = await run(load()[name], tool_input)
    assert text(outcome) == f"{name} {passed_on}"
    assert sandbox.executed == {"sevt_1": 1}
    assert list(sandbox.journals) == ["sesn_1"]


@pytest.mark.parametrize(
    ("name", "tool_input", "said"),
    [
        ("bash", {}, "bash: command: is required"),
        ("bash", {"command": "  "}, "bash: command: is required"),
        ("bash", {"command": "a\0b"}, "bash: command: contains a NUL character"),
        ("bash", {"command": ["ls"]}, "bash: command: must be a string"),
        ("bash", {"command": "ls", "timeout_ms": -1}, "bash: timeout_ms: must be at least 0"),
        ("bash", {"command": "ls", "timeout_ms": True}, "bash: timeout_ms: must be an integer"),
        ("bash", {"command": "ls", "timeout_ms": 1.5}, "bash: timeout_ms: must be an integer"),
        ("bash", {"restart": "yes"}, "bash: restart: must be true or false"),
        ("bash", {"cmd": "ls"}, "bash: cmd: there is no such field; there are: command, restart, timeout_ms"),
        ("read", {}, "read: file_path: is required"),
        ("read", {"file_path": ""}, "read: file_path: must not be empty"),
        ("read", {"file_path": "x", "view_range": [1]}, "read: view_range: must have 2 items"),
        ("read", {"file_path": "x", "view_range": [1, "2"]}, "read: view_range: each item must be an integer"),
        ("read", {"file_path": "x", "view_range": "1-2"}, "read: view_range: must be a list"),
        ("write", {"file_path": "x"}, "write: content: is required"),
        ("write", {"file_path": "x", "content": None}, "write: content: is required"),
        ("edit", {"file_path": "x", "old_string": "", "new_string": ""}, "edit: old_string: must not be empty"),
        ("glob", {"path": "x"}, "glob: pattern: is required"),
        ("grep", {"pattern": 7}, "grep: pattern: must be a string"),
    ],
)  # fmt: skip
async def test_bad_input_is_a_result_that_names_the_field(
    name: str, tool_input: dict[str, Any], said: str
) -> None:
    outcome, sandbox = await run(load()[name], tool_input)
    assert outcome.is_error
    assert text(outcome) == said
    assert sandbox.executed == {}
