"""`agentstead.limits` of an environment, by the official SDK's `extra_body`."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

MIB = 1 << 20


def limits(**values: Any) -> dict[str, Any]:
    return {"agentstead": {"limits": values}}


@requirement("environments:limits")
async def test_limits_are_kept_merged_and_cleared(client: Any, server: Running) -> None:
    environments = client.beta.environments
    plain = await environments.create(name="plain")
    assert "agentstead" not in plain.to_dict()
    made = await environments.create(name="e", extra_body=limits(memory_bytes=128 * MIB, cpus=1))
    assert made.to_dict()["agentstead"] == {"limits": {"memory_bytes": 128 * MIB, "cpus": 1}}
    merged = await environments.update(made.id, extra_body=limits(cpus=None, processes_max=32))
    assert merged.to_dict()["agentstead"] == {
        "limits": {"memory_bytes": 128 * MIB, "processes_max": 32}
    }
    kept = await environments.update(made.id, name="other")
    assert kept.to_dict()["agentstead"] == merged.to_dict()["agentstead"]
    cleared = await environments.update(made.id, extra_body={"agentstead": None})
    assert "agentstead" not in cleared.to_dict()


@requirement("environments:limits")
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"memory_bytes": 1}, "agentstead.limits.memory_bytes"),
        ({"memory_bytes": "1g"}, "agentstead.limits.memory_bytes"),
        ({"cpus": 0}, "agentstead.limits.cpus"),
        ({"open_files_max": 2**40}, "agentstead.limits.open_files_max"),
        ({"memory": 128 * MIB}, "agentstead.limits.memory"),
    ],
)
async def test_a_wrong_limit_names_itself(client: Any, values: Any, said: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as wrong:
        await client.beta.environments.create(name="e", extra_body=limits(**values))
    assert wrong.value.body["error"]["message"].startswith(said)


@requirement("environments:limits")
async def test_the_operators_maximum_holds(database_url: str) -> None:
    async with serving(database_url, sandbox_limits_max={"memory_bytes": 256 * MIB}) as server:
        environments = server.sdk().beta.environments
        made = await environments.create(name="e", extra_body=limits(memory_bytes=256 * MIB))
        for refused in (
            environments.create(name="e", extra_body=limits(memory_bytes=257 * MIB)),
            environments.update(made.id, extra_body=limits(memory_bytes=257 * MIB)),
        ):
            with pytest.raises(anthropic.BadRequestError, match=r"operator allows"):
                await refused
        with pytest.raises(anthropic.BadRequestError, match="self_hosted"):
            await environments.create(
                name="e", config={"type": "self_hosted"}, extra_body=limits(memory_bytes=64 * MIB)
            )


GREEDY = "python3 -c 'b = bytearray(400 << 20); print(len(b))'"
PROBES = {
    "turns": [
        {"tools": [{"name": "bash", "input": {"command": "ulimit -n; ulimit -Hn"}}]},
        {"tools": [{"name": "bash", "input": {"command": "sleep 30"}}]},
        {"tools": [{"name": "bash", "input": {"command": GREEDY}}]},
        {"tools": [{"name": "bash", "input": {"command": "seq 100000 | tail -c 20000"}}]},
        {"tools": [{"name": "bash", "input": {"command": "echo still here"}}]},
        {"text": "done"},
    ]
}  # fmt: skip


@requirement("environments:limits")
async def test_a_session_is_held_to_its_environments_limits(database_url: str) -> None:
    await needed()
    own = limits(memory_bytes=128 * MIB, open_files_max=300, call_seconds=1, output_bytes=2048)
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=PROBES, sandbox=hands) as server,
    ):
        client = server.sdk()
        toolset: Any = [{"type": "agent_toolset_20260401"}]
        agent = await client.beta.agents.create(name="a", model=MODEL, tools=toolset)
        environment = await client.beta.environments.create(name="e", extra_body=own)
        say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
        session = await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[say]
        )
        results = []
        async with await client.beta.sessions.events.stream(session.id) as stream:
            async for event in stream:
                if event.type == "agent.tool_result":
                    results.append((event.is_error, event.content[0].text))
                if event.type == "session.status_idle":
                    break
        files, slow, greedy, long, after = results
        assert files == (False, "300\n300")
        assert slow[0]
        assert "1 s" in slow[1] or "time" in slow[1].lower()
        assert greedy[0]
        assert str(400 * MIB) not in greedy[1]
        assert len(long[1]) < 4096
        assert (after[0], after[1].strip()) == (False, "still here")
        await client.beta.sessions.archive(session.id)


@requirement("environments:limits")
async def test_a_session_runs_no_longer_than_its_environment_lets_it(database_url: str) -> None:
    await needed()
    script = {
        "turns": [
            {"tools": [{"name": "bash", "input": {"command": "sleep 30"}}]},
            {"text": "never said"},
        ]
    }
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=script, sandbox=hands) as server,
    ):
        client = server.sdk()
        toolset: Any = [{"type": "agent_toolset_20260401"}]
        agent = await client.beta.agents.create(name="a", model=MODEL, tools=toolset)
        environment = await client.beta.environments.create(
            name="e", extra_body=limits(session_seconds=1)
        )
        say: Any = {"type": "user.message", "content": [{"type": "text", "text": "go"}]}
        session = await client.beta.sessions.create(
            agent=agent.id, environment_id=environment.id, initial_events=[say]
        )
        seen: list[Any] = []
        async with await client.beta.sessions.events.stream(session.id) as stream:
            async for event in stream:
                seen.append(event)
                if event.type == "session.status_idle":
                    if len([each for each in seen if each.type == "session.error"]) == 2:
                        break
                    await client.beta.sessions.events.send(session.id, events=[say])
        (result,) = [each for each in seen if each.type == "agent.tool_result"]
        assert (result.is_error, "run as long as it may" in result.content[0].text) == (True, True)
        errors = [each.error for each in seen if each.type == "session.error"]
        assert all("session_seconds" in error.message for error in errors)
        assert {error.retry_status.type for error in errors} == {"exhausted"}
        assert seen[-1].stop_reason.type == "retries_exhausted"
        why = await client.get(f"/v1/sessions/{session.id}/why", cast_to=object)
        assert "session_seconds" in str(why)
        await client.beta.sessions.archive(session.id)
