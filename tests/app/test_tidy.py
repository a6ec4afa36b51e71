"""Sandboxes end with their sessions, and rest when the platform does."""

import asyncio

import pytest

from agentstead.sandbox.bubblewrap import Bubblewrap
from tests.support.sandboxes import SPEC, alive, gone, needed, real_sandboxes, supervisor_pid, text

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]
ID = "sesn_rest"


async def bash(sandboxes: Bubblewrap, call_id: str, command: str) -> str:
    return text(await sandboxes.call(ID, SPEC, call_id, "bash", {"command": command}))


async def test_resting_ends_an_idle_sandbox_and_keeps_its_files() -> None:
    await needed()
    async with real_sandboxes() as sandboxes:
        await bash(sandboxes, "call_1", "echo kept > /workspace/file")
        supervisor = supervisor_pid(sandboxes, ID)
        await sandboxes.rest()
        await gone(supervisor)
        assert "kept" in await bash(sandboxes, "call_2", "cat /workspace/file")


async def test_resting_leaves_a_running_call_alone() -> None:
    await needed()
    async with real_sandboxes() as sandboxes:
        await bash(sandboxes, "call_0", "true")
        supervisor = supervisor_pid(sandboxes, ID)
        running = asyncio.create_task(bash(sandboxes, "call_1", "echo begun; sleep 1; echo ended"))
        await asyncio.sleep(0.3)
        await sandboxes.rest()
        assert alive(supervisor)
        assert await running == "begun\nended"
