"""Bombs go off side by side in sandboxes of one environment, whose limits a client set through the API.

Each is contained and explained to the model, the next call in the same sandbox works, a neighbour's
calls are answered all the while, and so is `/readyz`. How fast is another matter: `make bombs`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

MIB = 1 << 20
LIMITS: Any = {
    "memory_bytes": 128 * MIB,
    "processes_max": 32,
    "cpus": 0.5,
    "disk_bytes": 32 * MIB,
    "open_files_max": 256,
    "call_seconds": 3,
    "output_bytes": 4096,
}
OPEN_MANY = "python3 -c 'f = [open(\"/dev/null\") for _ in range(300)]'"
SPIN = """python3 -c '
import time
wall, used = time.monotonic(), time.process_time()
while time.monotonic() < wall + 1: pass
print("share", (time.process_time() - used) / (time.monotonic() - wall))'"""
FILL = "for i in $(seq 40); do head -c 8M /dev/zero > f$i; sleep 0.02; done; sleep 1; echo all"
BOMBS = {
    "fork": ("b() { b | b & }; b; sleep 2; echo over", "the limit of 32 processes was reached"),
    "memory": (
        "python3 -c 'x = bytearray(1 << 30); print(len(x))'; echo still here",
        "memory limit of 128 MiB was reached",
    ),
    "disk": (FILL, "the disk limit of 32 MiB was reached"),
    "output": ("head -c 50M /dev/zero | tr '\\0' x; echo; echo the end", "earlier bytes left out]"),
    "endless output": ("yes", "timed out after 3 s"),
    "bounds": (f"{OPEN_MANY}; {SPIN}; head -c 64M /dev/zero > big", "share"),
}
"""What the model runs → what it is told."""
SAYS_OTHERWISE = {"memory": "MemoryError"}
"""Where no control group bounds the sum, a program meets its own limit instead."""
ECHOES = 12


def scenario() -> dict[str, Any]:
    """Every bomb and then a call that must work; a neighbour that only talks."""
    after = {"tools": [{"name": "bash", "input": {"command": "rm -f f* big; echo after"}}]}
    scripts = [
        {
            "when": {"regex": f"^{name}$"},
            "turns": [{"tools": [{"name": "bash", "input": {"command": command}}]}, after, {"text": "Done."}],
        }
        for name, (command, _) in BOMBS.items()
    ]  # fmt: skip
    echo = {"tools": [{"name": "bash", "input": {"command": "echo here; sleep 0.2"}}]}
    scripts.append(
        {"when": {"regex": "^neighbour$"}, "turns": [echo] * ECHOES + [{"text": "Done."}]}
    )
    return {"scripts": scripts}


async def results(server: Running, place: dict[str, str], name: str) -> list[str]:
    """What the model was told in a session of its own."""
    sessions = server.sdk().beta.sessions
    session = await sessions.create(**place)
    said = []
    async with await sessions.events.stream(session.id) as stream:
        content: Any = [{"type": "text", "text": name}]
        await sessions.events.send(
            session.id, events=[{"type": "user.message", "content": content}]
        )
        async for event in stream:
            if event.type == "agent.tool_result":
                said.append(event.content[0].text)
            elif event.type == "session.status_idle":
                return said
    raise AssertionError("the stream ended")


@asynccontextmanager
async def readiness(server: Running) -> AsyncIterator[list[int]]:
    """The statuses that `/readyz` answers with meanwhile."""
    seen: list[int] = []

    async def ask() -> None:
        http = server.http()
        while True:
            seen.append((await http.get("/readyz")).status_code)
            await asyncio.sleep(0.2)

    task = asyncio.create_task(ask())
    try:
        yield seen
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.timeout(120)
async def test_bombs_are_contained_explained_and_no_trouble_to_others(database_url: str) -> None:
    await needed()
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=scenario(), sandbox=hands) as server,
        readiness(server) as statuses,
    ):
        client = server.sdk()
        toolset: Any = [{"type": "agent_toolset_20260401"}]
        agent = await client.beta.agents.create(name="a", model=MODEL, tools=toolset)
        environment = await client.beta.environments.create(
            name="e", extra_body={"agentstead": {"limits": LIMITS}}
        )
        place = {"agent": agent.id, "environment_id": environment.id}
        names = [*BOMBS, "neighbour"]
        said = dict(
            zip(names, await asyncio.gather(*(results(server, place, each) for each in names)), strict=True)
        )  # fmt: skip
        limits = (await hands.probe()).limits
    assert [line.splitlines()[0] for line in said.pop("neighbour")] == ["here"] * ECHOES
    assert set(statuses) == {200}
    for name, (first, second) in said.items():
        words = BOMBS[name][1]
        if limits.startswith("rlimits") and words not in first:
            words = SAYS_OTHERWISE.get(name, words)
        assert words in first, name
        assert len(first) < 6000, name
        assert second.splitlines()[-1] == "after" or "after\n[the disk limit" in second, (
            name,
            second,
        )
    assert "xxx\nthe end" in said["output"][0]
    assert "Too many open files" in said["bounds"][0]
    bounds = said["bounds"][0]
    assert "File size limit exceeded" in bounds or "the disk limit of 32 MiB" in bounds
    if not limits.startswith("rlimits"):
        share = float(said["bounds"][0].rsplit("share", 1)[1].split()[0])
        assert share < 0.75, "half of a processor is what it may use"
