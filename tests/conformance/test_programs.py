"""Short programs the way people write them for the hosted service, run as they are.

Each is the loop of a public program, wholly synchronous, with nothing in it that knows us. What
must not happen is that one of them waits for ever, leaves too soon, or trips over its own tables.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import httpx2
import pytest

from tests.conformance.requirements import requirement
from tests.conformance.sdks import places
from tests.support.background import serving_in_thread
from tests.support.postgres import Server
from tests.support.server import MODEL, Running

TOOLSET = {"type": "agent_toolset_20260401",
           "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}}}  # fmt: skip
BETA = "managed-agents-2026-04-01"
PREVIEW = "managed-agents-2026-04-01-research-preview"


def bash(command: str) -> dict[str, Any]:
    return {"name": "bash", "input": {"command": command}}


def receipt(number: int) -> dict[str, Any]:
    return {"name": "classify", "input": {"receipt": f"r{number}", "category": "meals"}}


SCRIPT: dict[str, Any] = {
    "scripts": [
        {"when": {"contains": "fix"}, "turns": [
            {"text": "I look.", "tools": [bash("python3 -m unittest")]},
            {"tools": [{"name": "write", "input": {"file_path": "/mnt/session/outputs/calc.py",
                                                   "content": "x = 1\n" * 9000}}]},
            {"text": "All tests pass."}]},
        {"when": {"contains": "receipts"}, "turns": [
            {"text": "Twelve.", "tools": [receipt(n) for n in range(12)]},
            {"text": "Sorted: {{results}}"}]},
        {"when": {"contains": "incident"}, "turns": [
            {"text": "Reading logs.", "tools": [bash("cat logs")]},
            {"text": "I page.", "tools": [{"name": "page", "input": {"level": 2}}]},
            {"text": "I ask.", "tools": [{"name": "approve", "input": {"pull_request": 7}}]},
            {"text": "Merged after {{last_result}}."}]},
        {"when": {"contains": "transactions"}, "turns": [
            {"tools": [{"name": "find", "input": {}}] * 3}, {"tools": [{"name": "find", "input": {}}]},
            {"text": "Reviewed."}]},
    ],
    "otherwise": "Fine, {{user}}.",
}  # fmt: skip


@pytest.fixture(scope="module")
def running(postgres: Server) -> Iterator[Running]:
    url = postgres.create()
    with serving_in_thread(url, workers=1, script=SCRIPT, keepalive_seconds=0.2) as server:
        yield server
    postgres.drop(url)


@pytest.fixture
def client(running: Running) -> Iterator[anthropic.Anthropic]:
    """As programs make it; a wait that does not end is a failure."""
    with anthropic.Anthropic(base_url=running.url, api_key=running.key, timeout=15) as made:
        yield made


def custom(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "custom", "name": name, "description": f"To {name}.",
            "input_schema": {"type": "object", "properties": properties, "required": []}}  # fmt: skip


def opened(client: anthropic.Anthropic, *tools: Any, **more: Any) -> Any:
    """Agent, environment, session, as nearly every program begins."""
    agent = client.beta.agents.create(name="program", model=MODEL, tools=list(tools))
    environment = client.beta.environments.create(
        name="program", config={"type": "cloud", "networking": {"type": "limited"}}
    )
    return client.beta.sessions.create(
        agent={"type": "agent", "id": agent.id, "version": agent.version},
        environment_id=environment.id,
        **more,
    )


def say(client: anthropic.Anthropic, session: Any, words: str) -> Any:
    text = [{"type": "text", "text": words}]
    return client.beta.sessions.events.send(
        session_id=session.id, events=[{"type": "user.message", "content": text}]
    )


def until_end_turn(client: anthropic.Anthropic, session: Any) -> list[str]:
    """The helper that most notebooks share: leaves only on `end_turn` or a terminated session."""
    texts = []
    with client.beta.sessions.events.stream(session.id) as stream:
        for event in stream:
            match event.type:
                case "agent.message":
                    texts += [block.text for block in event.content]
                case "session.status_idle" if event.stop_reason.type == "end_turn":
                    return texts
                case "session.status_terminated":
                    return texts
    raise AssertionError("the stream ended")


def poll_idle(client: anthropic.Anthropic, session: Any) -> None:
    """Its sister: at most five seconds, and then on without a word."""
    for _ in range(20):
        if client.beta.sessions.retrieve(session.id).status == "idle":
            return
        time.sleep(0.25)


def result(call_id: str, words: str = "ok") -> Any:
    return {"type": "user.custom_tool_result", "custom_tool_use_id": call_id,
            "content": [{"type": "text", "text": words}]}  # fmt: skip


@requirement("programs:send-first")
def test_a_notebook_that_sends_first(client: anthropic.Anthropic) -> None:
    session = opened(client, TOOLSET, title="Issue → PR #12")
    say(client, session, "fix the tests")
    assert until_end_turn(client, session) == ["I look.", "All tests pass."]
    for words in ("thanks", "and again"):
        say(client, session, words)
        time.sleep(0.1)  # the turn is over before anybody looks
        assert until_end_turn(client, session) == [f"Fine, {words}."]
    poll_idle(client, session)
    client.beta.sessions.archive(session.id)
    client.beta.environments.archive(session.environment_id)
    client.beta.agents.archive(session.agent.id)


@requirement("programs:stream-first")
def test_a_notebook_that_streams_first(client: anthropic.Anthropic) -> None:
    session = opened(client, TOOLSET)

    def run_turn(words: str) -> list[Any]:
        seen = []
        with client.beta.sessions.events.stream(session.id) as stream:
            say(client, session, words)
            for event in stream:
                seen.append(event)
                if event.type == "session.status_idle":
                    break
        return seen

    first, second = run_turn("fix it"), run_turn("thanks")
    written = next(one for one in first if one.type == "agent.tool_use" and one.name == "write")
    assert len(written.input["content"]) == 54_000  # whole (clients rule 11)
    assert [one for one in first if one.type == "agent.message"][-1].content[
        0
    ].text == "All tests pass."
    assert [one.content[0].text for one in second if one.type == "agent.message"] == ["Fine, thanks."]  # fmt: skip
    assert not {one.id for one in first} & {one.id for one in second}


@requirement("programs:last-element")
def test_a_program_that_looks_at_the_last_element(client: anthropic.Anthropic) -> None:
    session = opened(client, TOOLSET)
    for number, words in enumerate(("fix it", "thanks", "bye"), 1):
        say(client, session, words)
        for _ in range(200):
            events = client.beta.sessions.events.list(session.id).data
            last = events[-1]
            if last.type == "session.status_terminated" or (
                last.type == "session.status_idle" and last.stop_reason.type == "end_turn"
            ):
                break
            time.sleep(0.02)
        # It never took the last turn's idle for this one's.
        assert len([one for one in events if one.type == "session.status_idle"]) == number


@requirement("programs:new-idles")
def test_a_responder_that_polls_for_new_idles(client: anthropic.Anthropic) -> None:
    session = opened(
        client,
        TOOLSET,
        custom("page", level={"type": "integer"}),
        custom("approve", pull_request={"type": "integer"}),
    )
    seen: set[str] = set()
    texts: list[str] = []

    def follow(stop_at: str | None) -> Any:
        """New entries only; a call is looked up among those of this very call."""
        calls: dict[str, Any] = {}
        for _ in range(300):
            idle = None
            for event in client.beta.sessions.events.list(session.id):
                if event.id in seen:
                    continue
                seen.add(event.id)
                if event.type == "agent.custom_tool_use":
                    calls[event.id] = event
                if event.type == "agent.message":
                    texts.append(event.content[0].text)
                if event.type == "session.status_idle":
                    idle = event
            if idle is not None:
                if idle.stop_reason.type == "end_turn":
                    return None
                for call_id in idle.stop_reason.event_ids:
                    if calls[call_id].name == stop_at:
                        return calls[call_id]
                    client.beta.sessions.events.send(session.id, events=[result(call_id)])
            time.sleep(0.02)
        raise AssertionError("no new idle came")

    say(client, session, "incident")
    approval = follow("approve")
    time.sleep(0.3)  # another cell, some coffee later
    client.beta.sessions.events.send(session.id, events=[result(approval.id, "a human's yes")])
    assert follow(None) is None
    say(client, session, "thanks")
    assert follow(None) is None
    assert texts == ["Reading logs.", "I page.", "I ask.", "Merged after a human's yes.", "Fine, thanks."]  # fmt: skip


@requirement("programs:many-calls")
def test_a_gate_over_many_parallel_calls(client: anthropic.Anthropic) -> None:
    categories = {"type": "string", "enum": ["meals", "travel"]}
    session = opened(client, TOOLSET, custom("classify", receipt={"type": "string"}, category=categories))  # fmt: skip
    calls: dict[str, Any] = {}
    answered: set[str] = set()
    with client.beta.sessions.events.stream(session.id) as stream:
        say(client, session, "the receipts")
        for event in stream:
            if event.type == "agent.custom_tool_use":
                calls[event.id] = event
            elif event.type == "session.status_idle":
                if event.stop_reason.type == "end_turn":
                    break
                assert event.stop_reason.type == "requires_action"
                for call_id in event.stop_reason.event_ids:
                    if call_id in answered:
                        continue  # an idle from before the last answers
                    words = calls[call_id].input["receipt"]  # a KeyError is a crash of the program
                    client.beta.sessions.events.send(session.id, events=[result(call_id, words)])
                    answered.add(call_id)
    assert len(answered) == 12
    events = list(client.beta.sessions.events.list(session.id, limit=1000))
    assert len([one for one in events if one.type == "user.custom_tool_result"]) == 12
    last = [one for one in events if one.type == "agent.message"][-1].content[0].text
    assert last.split() == ["Sorted:", *(f"r{n}" for n in range(12))]


@requirement("programs:patient-human")
def test_a_review_that_waits_for_a_human(client: anthropic.Anthropic) -> None:
    session = opened(client, custom("find", filter={"type": "array"}, limit={"type": "number"}))
    pending: dict[str, Any] = {}
    batches = []
    with client.beta.sessions.events.stream(session.id) as stream:
        say(client, session, "the transactions")
        for event in stream:
            if event.type == "agent.custom_tool_use":
                pending[event.id] = event
            if event.type != "session.status_idle":
                continue
            if event.stop_reason.type != "requires_action":
                break
            open_calls = [one for one in event.stop_reason.event_ids if one in pending]
            batches.append(len(open_calls))
            time.sleep(0.5)  # a human thinks; the line must live
            for call_id in open_calls:
                del pending[call_id]
            client.beta.sessions.events.send(session.id, events=[result(one) for one in open_calls])
    assert batches == [3, 1]
    assert client.beta.sessions.retrieve(session.id).status == "idle"


@requirement("programs:no-wait")
def test_a_bot_that_archives_without_waiting(client: anthropic.Anthropic) -> None:
    def report(number: int) -> str:
        session = opened(client, TOOLSET, metadata={"channel": "C1", "ts": f"1700.{number}"}, resources=[])  # fmt: skip
        summary = ""
        say(client, session, f"fix report {number}")
        for event in client.beta.sessions.events.stream(session.id):
            if event.type == "agent.message":
                summary = next((block.text for block in event.content[::-1] if block.text.strip()), summary)  # fmt: skip
            elif event.type == "session.status_terminated":
                raise AssertionError("terminated")
            elif event.type == "session.status_idle":
                break
        assert client.beta.sessions.archive(session.id).status == "terminated"
        return summary

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(report, range(8))) == ["All tests pass."] * 8


@requirement("programs:loose-shapes")
def test_shapes_that_programs_send(client: anthropic.Anthropic) -> None:
    beta = client.beta
    agent = beta.agents.create(
        name="Researcher", model=MODEL, betas=[BETA, PREVIEW],
        tools=[{"type": "agent_toolset_20260401", "configs": [{"name": "read"}, {"name": "write"}]}],
    )  # fmt: skip
    assert agent.tools[0].default_config.enabled  # listing two restricts nothing (clients rule 28)
    named: Any = {"type": "anthropic_cloud", "networking": {"type": "unrestricted"}}
    assert beta.environments.create(name="c", config=named, betas=[PREVIEW]).config.type == "cloud"
    network = {"type": "limited", "allow_package_managers": True}
    place = beta.environments.create(
        name="d", config={"type": "cloud", "networking": network, "packages": {"pip": ["pytest"]}}
    )
    assert (place.config.packages.pip, place.config.packages.apt) == (["pytest"], [])
    bare = beta.environments.create(name="e", betas=[BETA])
    title = f"[{agent.id}] " + "s" * 80 + " → #1"
    session = beta.sessions.create(
        agent=agent.id, environment_id=bare.id, title=title, betas=[BETA, BETA]
    )
    assert session.title == title
    with pytest.raises(anthropic.BadRequestError, match="mcp_server_name"):  # clients rule 50
        beta.agents.create(
            name="s", model=MODEL, mcp_servers=[{"type": "url", "name": "x", "url": "https://x.io/"}],
            tools=[{"type": "mcp_toolset", "server_name": "x"}],  # type: ignore[typeddict-item]
        )  # fmt: skip


@requirement("programs:watch-by-http")
def test_a_grader_that_watches_by_http(client: anthropic.Anthropic, running: Running) -> None:
    session = opened(client, TOOLSET)
    outcome: Any = {"type": "user.define_outcome", "description": "A brief.", "max_iterations": 3,
                    "rubric": {"type": "text", "content": "- sources"}}  # fmt: skip
    message: Any = {"type": "user.message", "content": [{"type": "text", "text": "fix it"}]}
    with pytest.raises(anthropic.BadRequestError, match=r"events\.0\.type: Outcomes are not"):
        client.beta.sessions.events.send(session.id, events=[outcome, message])
    assert list(client.beta.sessions.events.list(session.id)) == []
    client.beta.sessions.events.send(session.id, events=[message])
    headers = {"x-api-key": running.key, "anthropic-version": "2023-06-01",
               "anthropic-beta": f"{BETA},{PREVIEW}"}  # fmt: skip
    seen: dict[str, Any] = {}
    for _ in range(200):
        answer = httpx2.get(
            f"{running.url}/v1/sessions/{session.id}/events?limit=1000", headers=headers, trust_env=False
        )  # fmt: skip
        fresh = [one for one in answer.json()["data"] if one["id"] not in seen]
        seen |= {one["id"]: one for one in fresh}
        if any(one["type"] == "session.status_idle" for one in fresh):
            break
        time.sleep(0.02)
    written = [one for one in seen.values() if one.get("name") == "write"]
    assert written[-1]["input"]["file_path"].endswith("calc.py")


@requirement("programs:handler")
def test_a_handler_that_is_told_the_session_only(client: anthropic.Anthropic) -> None:
    session = opened(client, TOOLSET, custom("find"), metadata={"thread": "42", "kind": "mail"})
    say(client, session, "the transactions")
    while client.beta.sessions.retrieve(session.id).status != "idle":
        time.sleep(0.02)

    def handle(session_id: str) -> list[str]:
        assert client.beta.sessions.retrieve(session_id).metadata["kind"] == "mail"
        events = client.beta.sessions.events.list(session_id).data
        done = {one.custom_tool_use_id for one in events if one.type == "user.custom_tool_result"}
        calls = [one for one in events if one.type == "agent.custom_tool_use"]
        return [one.id for one in calls if one.id not in done]

    for expected in (3, 1):
        open_calls = handle(session.id)
        assert len(open_calls) == expected
        client.beta.sessions.events.send(session.id, events=[result(one) for one in open_calls])
        for _ in range(300):
            last = client.beta.sessions.events.list(session.id, order="desc", limit=1).data[0]
            if last.type == "session.status_idle":
                break
            time.sleep(0.02)
    assert handle(session.id) == []
    texts = [
        block.text
        for one in client.beta.sessions.events.list(session.id, limit=3)
        if one.type == "agent.message"
        for block in one.content
    ]
    assert texts == ["Reviewed."]


@requirement("programs:lifecycle")
def test_the_life_of_an_agent(client: anthropic.Anthropic) -> None:
    session = opened(client, TOOLSET)
    agents = client.beta.agents
    found = agents.list(limit=5).data[0]
    assert agents.retrieve(found.id).id == session.agent.id
    changed = agents.update(found.id, version=found.version, system="Be brief.")
    assert changed.version == found.version + 1
    assert len(agents.versions.list(agent_id=found.id).data) == 2
    say(client, session, "hello")
    until_end_turn(client, session)
    poll_idle(client, session)
    client.beta.sessions.archive(session.id)
    client.beta.environments.archive(session.environment_id)
    assert agents.archive(found.id).archived_at is not None
    assert client.beta.sessions.retrieve(session.id).agent.version == 1


@requirement("programs:wait-for-idle")
@pytest.mark.timeout(150)  # the first time its packages are installed
@pytest.mark.xdist_group(f"sdk typescript {places.TYPESCRIPT}")
def test_a_typescript_server_that_waits_for_idle(running: Running) -> None:
    command = places.typescript("wait_for_idle")
    with anthropic.Anthropic(base_url=running.url, api_key=running.key, timeout=15) as client:
        session = opened(client, TOOLSET)
    done = subprocess.run(
        [*command, running.url, running.key, session.id], capture_output=True, text=True,
        timeout=25, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"status": "idle", "text": "I look.\nAll tests pass."},
        {"status": "idle", "text": "Fine, thanks."},
    ]
