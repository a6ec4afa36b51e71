"""The same run with the official SDKs that people have: old Python ones and the TypeScript one."""

import asyncio
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from tests.conformance.requirements import requirement
from tests.conformance.sdks import places
from tests.support.server import MODEL, serving

SCRIPT = {
    "turns": [
        {"text": "Looking.", "tools": [{"name": "lookup", "input": {"n": 1}}]},
        {"text": "It has {{results}}."},
    ],
    "delays": {"piece_characters": 4, "piece_seconds": 0.005},
}
TURN = [
    "user.message", "user.message", "session.status_running", "session.thread_status_running",
    "span.model_request_start", "agent.message", "agent.custom_tool_use", "span.model_request_end",
    "session.thread_status_idle", "session.usage", "session.status_idle",
    "user.custom_tool_result", "session.status_running", "session.thread_status_running",
    "span.model_request_start", "agent.message", "span.model_request_end",
    "session.thread_status_idle", "session.usage", "session.status_idle",
]  # fmt: skip


def bash(command: str) -> dict[str, Any]:
    return {"name": "bash", "input": {"command": command}}


UNHEARD = {"python 1.0.0": {"session.usage"}, "python 0.121.0": {"session.usage"}}
"""Names of frames that a version does not know and drops; its lists show them."""
RUNS: dict[str, Callable[[str], list[str]]] = {
    **{f"python {version}": partial(places.python, version) for version in places.PYTHON},
    f"typescript {places.TYPESCRIPT}": places.typescript,
}
ALL = {f"python {places.INSTALLED}": partial(places.python, places.INSTALLED), **RUNS}


def each(names: Iterable[str]) -> pytest.MarkDecorator:
    """A test for each SDK; those of one SDK in one process, since they make and share its place."""
    marked = [pytest.param(name, marks=pytest.mark.xdist_group(f"sdk {name}")) for name in names]
    return pytest.mark.parametrize("name", marked)


@requirement("sdks:versions", "resume:sdks")
@pytest.mark.timeout(150)  # the first time a place is made for each
@each(RUNS)
async def test_a_session_runs_with_this_sdk(database_url: str, name: str) -> None:
    command = await asyncio.to_thread(RUNS[name], "scenario")
    async with serving(database_url, workers=1, script=SCRIPT) as server:
        seen = await scenario(*command, server.url, server.key, MODEL)
    assert seen.pop("sdk") == name.split()[1]
    streamed, listed = seen.pop("streamed"), seen.pop("listed")
    heard = [one for one in TURN if one not in UNHEARD.get(name, ())]
    assert [kind for _, kind in streamed] == heard
    # The first message is streamed when queued and again when taken in.
    assert [kind for _, kind in listed] == TURN[1:]
    assert [one for one in listed if one[1] in heard] == streamed[1:]
    assert seen.pop("resumed") == [streamed[3:]] * 2
    assert seen == {
        "versions": [2, 1],
        "status": ["idle", "idle", "terminated"],
        "stop_reason": "end_turn",
        "previews": ["event_delta", "event_start"],
        "texts": ["Looking.", "It has shipped."],
        "sessions": ["A run"],
        "threads": ["idle"],
        "archived": True,
        "left": [0, 0, 0],
        "error": "not_found_error",
    }


STEPS_SCRIPT: dict[str, Any] = {
    "scripts": [
        {"when": {"contains": "plain"},
         "turns": [{"thinking": "Hm.", "text": "On it.", "tools": [bash("ls")]}, {"text": "All done."}]},
        {"when": {"contains": "lookup twice"},
         "turns": [{"tools": [{"name": "lookup", "input": {}}] * 2}, {"text": "Found."}]},
        {"when": {"contains": "ask twice"},
         "turns": [{"tools": [{"name": "write", "input": {"file_path": "/a", "content": "1"}}] * 2},
                   {"text": "Written."}]},
        {"when": {"contains": "long"},
         "turns": [{"tools": [bash("sleep")]}, {"text": "Never reached."}]},
    ],
    "delays": {"piece_characters": 4, "piece_seconds": 0.002},
}  # fmt: skip


def hands() -> FakeSandbox:
    def behave(call: FakeCall) -> Behaviour:
        slow = call.arguments.get("command") == "sleep"
        return Behaviour(Outcome.text(f"{call.tool} ran"), seconds=60.0 if slow else 0.0)

    return FakeSandbox(SystemClock(), behave)


@requirement("sdks:script")
@pytest.mark.timeout(150)
@each(ALL)
async def test_the_conformance_script_runs_with_this_sdk(database_url: str, name: str) -> None:
    command = await asyncio.to_thread(ALL[name], "steps")
    async with serving(database_url, workers=1, script=STEPS_SCRIPT, sandbox=hands()) as server:
        seen = await scenario(*command, server.url, server.key, MODEL)
    assert seen["failed"] == {}
    assert seen["sdk"] == name.split()[1]
    assert seen["passed"] == [one for one in places.STEPS if one != 12 or "python" in name]


async def scenario(*command: str) -> Any:
    """What the scenario saw; its complaints when it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        async with asyncio.timeout(25):
            out, complaints = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode == 0, complaints.decode()
    return json.loads(out)
