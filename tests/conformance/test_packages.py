"""Packages of environments, by the official SDK, real sandboxes, and pip against an index on the loopback."""

import asyncio
from typing import Any

import pytest

from tests.conformance.requirements import requirement
from tests.support.packages import BROKEN, PIP, Index, package_index, packaged
from tests.support.sandboxes import needed
from tests.support.server import MODEL, Running, serving

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
SAY: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
LIMITED: Any = {"type": "limited", "allow_package_managers": True}
pytestmark = pytest.mark.timeout(90)


def script(command: str) -> Any:
    return {
        "turns": [{"tools": [{"name": "bash", "input": {"command": command}}]}, {"text": "Done."}]
    }


async def sessions(server: Running, lists: Any, number: int) -> list[Any]:
    """Sessions on one environment with these packages."""
    client = server.sdk()
    agent = await client.beta.agents.create(name="a", model=MODEL, tools=TOOLSET)
    config: Any = {"type": "cloud", "networking": LIMITED, **lists}
    place = await client.beta.environments.create(name="e", config=config)
    assert place.config.packages.pip == lists["packages"]["pip"]
    given = {"agent": agent.id, "environment_id": place.id}
    return [await client.beta.sessions.create(**given) for _ in range(number)]


async def turn(server: Running, session: Any) -> list[Any]:
    """Every event of one turn."""
    client, found = server.sdk(), []
    async with await client.beta.sessions.events.stream(session.id) as stream:
        await client.beta.sessions.events.send(session.id, events=[SAY])
        async for event in stream:
            found.append(event)
            if event.type == "session.status_idle":
                break
    return found


async def why(server: Running, session: Any) -> Any:
    return (await server.http().get(f"/v1/sessions/{session.id}/why")).json()


def results(events: list[Any]) -> list[Any]:
    return [one for one in events if one.type == "agent.tool_result"]


async def fetched(index: Index) -> None:
    """Until the wheel has been asked for."""
    async with asyncio.timeout(20):
        while not index.downloads:  # noqa: ASYNC110 - pip has no event
            await asyncio.sleep(0.02)


@requirement("environments:packages")
async def test_packages_are_there_before_the_first_tool_call(database_url: str) -> None:
    """clients rule 24."""
    await needed()
    with package_index() as index:
        index.open.clear()
        async with (
            packaged(index) as place,
            serving(
                database_url,
                workers=1,
                script=script("python3 -c 'import it; print(it.VALUE)'"),
                sandbox=place.hands,
                packages=place.packages,
                data_dir=place.data_dir,
            ) as server,
        ):
            first, second = await sessions(server, PIP, 2)
            turns = [asyncio.create_task(turn(server, one)) for one in (first, second)]
            await fetched(index)
            async with asyncio.timeout(5):
                while len(server.asked) < 2:  # noqa: ASYNC110 - the model answers meanwhile
                    await asyncio.sleep(0.01)
            (notice,) = [
                one for one in (await why(server, first))["notices"] if one["type"] == "packages"
            ]
            assert "are being installed since" in notice["message"]
            assert (notice["manager"], notice["packages"]) == ("pip", {"pip": ["it==1.0"]})
            index.open.set()
            for events in await asyncio.gather(*turns):
                (result,) = results(events)
                assert [block.text for block in result.content] == ["42"]
                assert not [one for one in events if one.type == "session.error"]
            assert index.downloads == 1
            assert "pip: it==1.0" in str(server.asked[0].system)
            assert not [
                one for one in (await why(server, first))["notices"] if one["type"] == "packages"
            ]
            text = place.metrics.render().decode()
            assert 'agentstead_package_builds_total{outcome="ok"} 1.0' in text


@requirement("environments:packages-fail")
async def test_packages_that_cannot_be_installed_end_nothing(database_url: str) -> None:
    """clients rule 24."""
    await needed()
    with package_index() as index:
        async with (
            packaged(index) as place,
            serving(
                database_url,
                workers=1,
                script=script("echo works"),
                sandbox=place.hands,
                packages=place.packages,
                data_dir=place.data_dir,
            ) as server,
        ):
            (session,) = await sessions(server, BROKEN, 1)
            for _ in range(2):  # told again in the next turn
                events = await turn(server, session)
                (error,) = [one.error for one in events if one.type == "session.error"]
                assert (error.type, error.retry_status.type) == ("unknown_error", "retrying")
                assert "pip could not install nowhere:" in error.message
                assert "No matching distribution found for nowhere" in error.message
                (result,) = results(events)
                assert not result.is_error
                said, note = [block.text for block in result.content]
                assert said.endswith("works")
                assert "No matching distribution found for nowhere" in note
                assert events[-1].stop_reason.type == "end_turn"
            found = await why(server, session)
            assert [
                one["name"] for one in found["not_offered"] if one["name"].startswith("pip")
            ] == ["pip:nowhere"]
            assert index.asked == ["/simple/nowhere/"]  # not built in vain again so soon
