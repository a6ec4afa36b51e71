"""The official worker, poller and tool runner of the SDK, in processes of their own where one dies."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from anthropic.lib.environments import EnvironmentWorker
from anthropic.lib.tools.agent_toolset import AgentToolContext, beta_agent_toolset_20260401

from tests.conformance.requirements import requirement
from tests.conformance.test_self_hosted import ASKING, WRITE, idle
from tests.support.hosted import SHORT, Hosted, says, self_hosted
from tests.support.server import serving
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60.0


def bash(command: str) -> dict[str, Any]:
    """A call of the shell."""
    return {"name": "bash", "input": {"command": command}}


class Workers:
    """Worker processes of one environment."""

    def __init__(self, hosted: Hosted, workdir: Path) -> None:
        self.hosted = hosted
        self.workdir = workdir
        self.started: list[asyncio.subprocess.Process] = []

    async def start(self, mode: str = "run", **more: str) -> asyncio.subprocess.Process:
        """One more, in a group of its own so that all of it can be killed."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environ = {
            **kept,
            "ANTHROPIC_BASE_URL": self.hosted.server.url,
            "ANTHROPIC_ENVIRONMENT_ID": self.hosted.environment.id,
            "ANTHROPIC_ENVIRONMENT_KEY": self.hosted.key,
            "WORKDIR": str(self.workdir),
            **more,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.official_worker",
            mode,
            cwd=ROOT,
            env={name: value for name, value in environ.items() if value},
            start_new_session=True,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.started.append(process)
        return process

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """SIGKILL, with everything that it started."""
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def end(self) -> None:
        """All of them."""
        for process in self.started:
            await self.kill(process)


@asynccontextmanager
async def workers(hosted: Hosted, workdir: Path) -> AsyncIterator[Workers]:
    """Processes that end with the test."""
    made = Workers(hosted, workdir)
    try:
        yield made
    finally:
        await made.end()


async def text(hosted: Hosted, session: Any) -> str:
    """The agent's last words."""
    said = await hosted.events(session, "agent.message")
    return str(said[-1].content[0].text)


async def finished(hosted: Hosted, session: Any, turns: int = 1) -> Any:
    """The session's turn-ending idle of this number."""

    async def look() -> Any:
        idles = await hosted.events(session, "session.status_idle")
        ends = [one for one in idles if one.stop_reason.type == "end_turn"]
        return ends[turns - 1] if len(ends) >= turns else None

    return await until(look, seconds=PATIENCE_SECONDS)


async def states(hosted: Hosted) -> list[str]:
    """Of all items, newest first."""
    return [item.state async for item in hosted.work.list(hosted.environment.id)]


@requirement("work:worker")
async def test_the_official_worker_serves_a_session(database_url: str, tmp_path: Path) -> None:
    script = {
        "scripts": [
            {"when": {"contains": "again"}, "turns": [
                {"tools": [bash("cat kept.txt")]}, {"text": "Second: {{results}}"}]},
            {"when": {"contains": "go"}, "turns": [
                {"tools": [bash("echo $((6*7)) | tee kept.txt"), WRITE]},
                {"tools": [{"name": "grep", "input": {"pattern": "42"}}]},
                {"text": "First: {{results}}"}]},
        ],
    }  # fmt: skip
    async with serving(database_url, workers=1, script=script) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        async with workers(hosted, tmp_path) as fleet:
            await fleet.start(WORKER_ID="rack-1")
            await finished(hosted, session)
            assert "42" in await text(hosted, session)
            assert (tmp_path / "kept.txt").read_text() == "42\n"
            await until(stopped, hosted, 1, seconds=PATIENCE_SECONDS)
            assert (await hosted.work.stats(hosted.environment.id)).workers_polling == 1
            await hosted.send(session, says("again"))
            await finished(hosted, session, 2)
            assert (await text(hosted, session)).strip() == "Second: 42"
            await until(stopped, hosted, 2, seconds=PATIENCE_SECONDS)
        assert await hosted.events(session, "agent.tool_result") == []
        assert await hosted.events(session, "session.error") == []


async def stopped(hosted: Hosted, number: int) -> bool:
    """Whether so many items were made, and all have ended."""
    found = await states(hosted)
    return len(found) == number and set(found) == {"stopped"}


@requirement("work:worker-asks")
async def test_the_application_confirms_and_answers_beside_the_worker(
    database_url: str, tmp_path: Path
) -> None:
    script = {
        "turns": [
            {"tools": [WRITE, {"name": "lookup", "input": {}}, {"name": "own_lookup", "input": {"q": "x"}}]},
            {"tools": [WRITE]},
            {"tools": [bash("cat a.txt")]},
            {"text": "All: {{results}}"},
        ]
    }  # fmt: skip
    custom: Any = [
        {"type": "custom", "name": name, "description": "d",
         "input_schema": {"type": "object", "properties": {"q": {"type": "string"}}}}
        for name in ("lookup", "own_lookup")
    ]  # fmt: skip
    async with serving(database_url, workers=1, script=script) as server:
        hosted = await self_hosted(server, tools=[*ASKING, *custom])
        session = await hosted.session("go")
        async with workers(hosted, tmp_path) as fleet:
            await fleet.start()

            async def answered(number: int) -> Any:
                results = await hosted.events(session, "user.custom_tool_result")
                return len(results) >= number

            await until(answered, 1, seconds=PATIENCE_SECONDS)  # the worker's own tool
            (write,) = await hosted.events(session, "agent.tool_use")
            (lookup, own) = await hosted.events(session, "agent.custom_tool_use")
            (result,) = await hosted.events(session, "user.custom_tool_result")
            assert result.custom_tool_use_id == own.id
            assert result.content[0].text == "found x"
            assert not (tmp_path / "a.txt").exists()
            await hosted.send(
                session,
                {"type": "user.custom_tool_result", "custom_tool_use_id": lookup.id, "content": [
                    {"type": "text", "text": "by the application"}]},
                {"type": "user.tool_confirmation", "tool_use_id": write.id, "result": "allow"},
            )  # fmt: skip

            async def second() -> Any:
                uses = await hosted.events(session, "agent.tool_use")
                return uses[1] if len(uses) > 1 else None

            again = await until(second, seconds=PATIENCE_SECONDS)
            assert (tmp_path / "a.txt").read_text() == "x"
            deny = {"type": "user.tool_confirmation", "tool_use_id": again.id, "result": "deny"}
            await hosted.send(session, deny)
            await finished(hosted, session)
            assert await text(hosted, session) == "All: x"
        (denied,) = await hosted.events(session, "agent.tool_result")
        assert denied.tool_use_id == again.id


@requirement("work:worker-killed")
async def test_a_killed_worker_is_followed_by_another(database_url: str, tmp_path: Path) -> None:
    command = "if [ -f begun ]; then echo carried on; else touch begun; sleep 300; fi"
    script = {"turns": [{"tools": [bash(command)]}, {"text": "It says {{results}}"}]}
    async with serving(database_url, workers=1, script=script, **SHORT) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        async with workers(hosted, tmp_path) as fleet:
            first = await fleet.start(WORKER_ID="rack-1")

            async def begun() -> bool:
                return (tmp_path / "begun").exists()

            await until(begun, seconds=PATIENCE_SECONDS)
            why = await hosted.why(session)
            assert "rack-1" in why["reason"]
            assert "last heartbeat" in why["reason"]
            await fleet.kill(first)
            await fleet.start(WORKER_ID="rack-2")
            await finished(hosted, session)
        assert (await text(hosted, session)).strip() == "It says carried on"
        (result,) = await hosted.events(session, "user.tool_result")
        assert result.content[0].text.strip() == "carried on"
        (item,) = [one async for one in hosted.work.list(hosted.environment.id)]
        assert "rack-1" in item.to_dict()["agentstead"]["reason"] or item.state == "stopped"


@requirement("work:fleet")
async def test_three_workers_share_a_queue_and_one_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    script = {
        "turns": [
            {"tools": [bash("sleep 0.4; echo one")]},
            {"tools": [bash("sleep 0.4; echo two")]},
            {"text": "Done: {{results}}"},
        ]
    }
    async with serving(database_url, workers=1, script=script, **SHORT) as server:
        hosted = await self_hosted(server)
        sessions = [await hosted.session(f"go {number}") for number in range(9)]
        async with workers(hosted, tmp_path) as fleet:
            names = {f"rack-{n}": await fleet.start(WORKER_ID=f"rack-{n}") for n in range(3)}

            async def victim() -> Any:
                rows = await server.database.fetch(
                    "select worker_id from work where state = 'active'"
                )
                return rows and rows[0]["worker_id"]

            killed = await until(victim, seconds=PATIENCE_SECONDS)
            await fleet.kill(names[killed])
            for session in sessions:
                await finished(hosted, session)
        for session in sessions:
            uses = await hosted.events(session, "agent.tool_use")
            results = await hosted.events(session, "user.tool_result")
            assert [one.tool_use_id for one in results] == [one.id for one in uses]
            assert (await text(hosted, session)).strip() == "Done: two"
            assert await hosted.events(session, "session.error") == []
        served = await server.database.fetch("select distinct worker_id from work")
        assert len({row["worker_id"] for row in served} - {killed}) == 2
        lapsed = await server.database.fetch("select rule from audit where action = 'work.lapse'")
        assert any(killed in row["rule"] for row in lapsed)


@requirement("work:handle-item")
@pytest.mark.parametrize("credential", ["secret", "key"])
async def test_an_item_is_handled_from_the_environment(
    database_url: str, tmp_path: Path, credential: str
) -> None:
    script = {"turns": [{"tools": [bash("echo hi")]}, {"text": "It says {{results}}"}]}
    async with serving(database_url, workers=1, script=script) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        item = await hosted.taken()
        async with workers(hosted, tmp_path) as fleet:
            only = (
                {"ANTHROPIC_ENVIRONMENT_KEY": "", "ANTHROPIC_WORK_SECRET": item.secret}
                if credential == "secret"
                else {}
            )
            process = await fleet.start(
                "handle", ANTHROPIC_WORK_ID=item.id, ANTHROPIC_SESSION_ID=session.id, **only
            )
            assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0
        await finished(hosted, session)
        assert (await text(hosted, session)).strip() == "It says hi"
        assert await states(hosted) == ["stopped"]


@requirement("work:poller")
async def test_the_poller_drains_the_queue(database_url: str) -> None:
    async with serving(database_url) as server:
        hosted = await self_hosted(server)
        sessions = [await hosted.session("go") for _ in range(3)]
        work = hosted.client.beta.environments.work

        async def drained(**more: Any) -> list[Any]:
            poller = work.poller(
                environment_id=hosted.environment.id, environment_key=hosted.key,
                drain=True, block_ms=None, **more,
            )  # fmt: skip
            return [item async for item in poller]

        items = await drained(auto_stop=False)
        assert [item.data.id for item in items] == [session.id for session in sessions]
        assert await states(hosted) == ["starting"] * 3
        assert await drained() == []


@requirement("work:tool-runner")
async def test_the_tool_runner_answers_a_session(database_url: str, tmp_path: Path) -> None:
    script = {"turns": [{"tools": [bash("echo hi")]}, {"text": "It says {{results}}"}]}
    async with serving(database_url, workers=1, script=script) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        async with AgentToolContext(workdir=tmp_path) as context:
            runner = hosted.client.beta.sessions.events.tool_runner(
                session.id, tools=beta_agent_toolset_20260401(context), max_idle=0.1
            )
            calls = [call async for call in runner]
        assert [(call.name, call.posted, call.is_error) for call in calls] == [
            ("bash", True, False)
        ]
        assert (await text(hosted, session)).strip() == "It says hi"
        await idle(hosted, session, "end_turn", 2)


@requirement("work:worker")
async def test_a_worker_that_is_told_to_stop_leaves_its_session_to_the_next(
    database_url: str, tmp_path: Path
) -> None:
    """A rolling restart: cancelled in the middle of a call, as a signal handler does.

    The SDK finishes the call and sends its result, then stops the item; what comes next is another's.
    """
    script = {
        "turns": [
            {"tools": [bash("touch begun; sleep 1; echo one")]},
            {"tools": [bash("echo two")]},
            {"text": "It says {{results}}"},
        ]
    }
    async with serving(database_url, workers=1, script=script, **SHORT) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")

        def worker() -> Any:
            return EnvironmentWorker(
                hosted.server.sdk(strict=False),
                environment_id=hosted.environment.id,
                environment_key=hosted.key,
                workdir=tmp_path,
                max_idle=0.2,
            )

        async def begun() -> bool:
            return (tmp_path / "begun").exists()

        first = asyncio.create_task(worker().run())
        await until(begun, seconds=PATIENCE_SECONDS)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        second = asyncio.create_task(worker().run())
        await finished(hosted, session)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert (await text(hosted, session)).strip() == "It says two"
        results = await hosted.events(session, "user.tool_result")
        assert [one.content[0].text.strip() for one in results] == ["one", "two"]
        assert len(await states(hosted)) == 2
