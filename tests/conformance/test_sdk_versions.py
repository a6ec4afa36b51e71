"""The same run with the official SDKs that people have: old Python ones and the TypeScript one."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

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
UNHEARD = {"python 1.0.0": {"session.usage"}, "python 0.121.0": {"session.usage"}}
"""Names of frames that a version does not know and drops; its lists show them."""
RUNS: dict[str, Callable[[], list[str]]] = {
    **{f"python {version}": partial(places.python, version) for version in places.PYTHON},
    f"typescript {places.TYPESCRIPT}": places.typescript,
}


@requirement("sdks:versions", "resume:sdks")
@pytest.mark.timeout(150)  # the first time a place is made for each
@pytest.mark.parametrize("name", RUNS)
async def test_a_session_runs_with_this_sdk(database_url: str, name: str) -> None:
    command = await asyncio.to_thread(RUNS[name])
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
