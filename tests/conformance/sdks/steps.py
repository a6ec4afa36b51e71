"""The conformance script of wire §18 with an official Python SDK of any version: `python steps.py URL KEY MODEL`.

Promises: only the SDK is needed; it prints one JSON object: which steps passed, and what was wrong
with the others. `typescript/steps.mjs` does the same.
"""

import asyncio
import json
import sys
import traceback

import anthropic

TOOLSET = "agent_toolset_20260401"
ASK = {"type": "always_ask"}
LOOKUP = {"type": "custom", "name": "lookup", "description": "d", "input_schema": {"type": "object"}}  # fmt: skip
SERVER = {"type": "url", "name": "docs", "url": "https://mcp.example.com/"}
TOOLS = [
    {"type": TOOLSET, "configs": [{"name": "write", "permission_policy": ASK}]},
    LOOKUP,
    {"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": {"enabled": False}},
]
TURN = [
    "user.message", "session.status_running", "session.thread_status_running",
    "span.model_request_start", "agent.thinking", "agent.message", "agent.tool_use",
    "span.model_request_end", "agent.tool_result", "span.model_request_start", "agent.message",
    "span.model_request_end", "session.thread_status_idle", "session.usage", "session.status_idle",
]  # fmt: skip


def say(text: str) -> dict:
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def result(use_id: str, text: str = "x") -> dict:
    return {"type": "user.custom_tool_result", "custom_tool_use_id": use_id,
            "content": [{"type": "text", "text": text}]}  # fmt: skip


def confirm(use_id: str, how: str, **more) -> dict:
    return {"type": "user.tool_confirmation", "tool_use_id": use_id, "result": how, **more}


def refused(kind, call, *arguments, code: str | None = None, **named) -> None:
    """The call must fail like this."""
    raised = None
    try:
        call(*arguments, **named)
    except kind as error:
        raised = error
    assert raised is not None, f"{kind.__name__} was expected"
    found = raised.body["error"].get("details", {}).get("error_code")
    assert code in (None, found), raised.body


class Steps:
    """One client, an agent and an environment; each step makes its own session."""

    def __init__(self, url: str, key: str, model: str) -> None:
        self.beta = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20).beta
        self.events = self.beta.sessions.events
        self.model = model
        self.url, self.key = url, key
        self.agent = self.beta.agents.create(name="a", model=model, tools=TOOLS[:2])
        self.place = self.beta.environments.create(name="e")

    def session(self, **more):
        made = self.beta.sessions.create(agent=self.agent.id, environment_id=self.place.id, **more)
        assert made.status == ("running" if more.get("initial_events") else "idle")
        return made

    def turn(self, stream, until: str = "session.status_idle") -> list:
        """What comes up to the next event of this type; previews are left out."""
        found = []
        for event in stream:
            if not event.type.startswith("event_"):
                found.append(event)
            if event.type == until:
                return found
        raise AssertionError("the stream ended")

    def listed(self, session, **query) -> list:
        return list(self.events.list(session.id, **query))

    def step_1(self) -> None:
        agents = self.beta.agents
        made = agents.create(name="Fixer", model=self.model, tools=TOOLS, mcp_servers=[SERVER])
        assert agents.retrieve(made.id).version == made.version == 1
        assert [one.type for one in made.tools] == [one["type"] for one in TOOLS]
        assert agents.update(made.id, version=1, name="Fixer").version == 1
        assert agents.update(made.id, version=1, system="Be brief.").version == 2
        refused(anthropic.ConflictError, agents.update, made.id, version=1, system="Other.")
        assert [one.version for one in agents.versions.list(made.id)] == [2, 1]
        assert agents.archive(made.id).archived_at is not None
        create = self.beta.sessions.create
        refused(anthropic.BadRequestError, create, agent=made.id, environment_id=self.place.id)

    def step_2(self) -> None:
        environments = self.beta.environments
        made = environments.create(name="plain", metadata={"a": "1", "b": "2"})
        assert (made.config.type, made.config.networking.type) == ("cloud", "unrestricted")
        assert environments.update(made.id, metadata={"a": None}).metadata == {"b": "2"}
        refused(anthropic.BadRequestError, environments.update, made.id,
                config={"type": "self_hosted"}, code="invalid_config_type_change")  # fmt: skip
        gone = environments.delete(made.id)
        assert (gone.id, gone.type) == (made.id, "environment_deleted")
        refused(anthropic.NotFoundError, environments.retrieve, made.id)

    def step_3(self) -> None:
        session = self.session()
        with self.events.stream(session.id) as stream:
            self.events.send(session.id, events=[say("plain")])
            streamed = self.turn(stream)
        listed = self.listed(session)
        assert [one.type for one in listed] == TURN, [one.type for one in listed]
        known = {one.type for one in streamed}
        # Old versions drop frames whose names they do not know.
        assert [one.id for one in streamed[1:]] == [one.id for one in listed if one.type in known]
        assert set(TURN) - known <= {"session.usage"}
        assert self.beta.sessions.retrieve(session.id).status == "idle"

    def step_4(self) -> None:
        session = self.session()
        with self.events.stream(session.id) as stream:
            self.events.send(session.id, events=[say("lookup twice")])
            idle = self.turn(stream)[-1]
            first, second = idle.stop_reason.event_ids
            self.events.send(session.id, events=[result(first)])
            again = self.turn(stream)[-1]
            assert again.stop_reason.event_ids == [second]
            count = len(self.listed(session))
            self.events.send(session.id, events=[result(first, "other")])
            assert len(self.listed(session)) == count
            self.events.send(session.id, events=[result(second)])
            assert self.turn(stream)[-1].stop_reason.type == "end_turn"
            self.events.send(session.id, events=[say("lookup twice")])
            for _ in range(2):
                use = self.turn(stream, "agent.custom_tool_use")[-1]
                self.events.send(session.id, events=[result(use.id)])
            end = self.turn(stream)[-1]
            while end.stop_reason.type != "end_turn":
                end = self.turn(stream)[-1]

    def step_5(self) -> None:
        session = self.session()
        with self.events.stream(session.id) as stream:
            self.events.send(session.id, events=[say("ask twice")])
            found = self.turn(stream)
            first, second = found[-1].stop_reason.event_ids
            uses = [one for one in found if one.type == "agent.tool_use"]
            assert [one.evaluated_permission for one in uses] == ["ask", "ask"]
            self.events.send(session.id, events=[confirm(first, "allow"), confirm(second, "deny", deny_message="No.")])  # fmt: skip
            found = self.turn(stream)
            results = {one.tool_use_id: one for one in found if one.type == "agent.tool_result"}
            assert not results[first].is_error
            assert results[second].is_error
            assert "No." in results[second].content[0].text
            self.events.send(session.id, events=[say("plain")])
            free = next(one for one in self.turn(stream) if one.type == "agent.tool_use")
            assert free.evaluated_permission == "allow"
        wrong = [confirm(free.id, "allow")]
        refused(anthropic.BadRequestError, self.events.send, session.id, events=wrong)

    def step_6(self) -> None:
        session = self.session()
        with self.events.stream(session.id) as stream:
            self.events.send(session.id, events=[say("long")])
            use = self.turn(stream, "agent.tool_use")[-1]
            self.events.send(session.id, events=[{"type": "user.interrupt"}])
            self.events.send(session.id, events=[say("plain")])
            found = self.turn(stream)
            while "All done." not in said(found):
                found += self.turn(stream)
        cut = next(one for one in found if one.type == "agent.tool_result")
        assert (cut.tool_use_id, cut.is_error) == (use.id, True)
        assert "Never reached." not in said(found)
        assert self.listed(session)[-1].type == "session.status_idle"

    def step_7(self) -> None:
        session = self.session()
        more = self.events.stream(session.id, event_deltas=["agent.message"])
        with more as asked, self.events.stream(session.id) as plain:
            self.events.send(session.id, events=[say("plain")])
            frames = []
            for event in asked:
                frames.append(event)
                if event.type == "session.status_idle":
                    break
            assert not [one for one in plain_until_idle(plain) if one.type.startswith("event_")]
        starts = [one.event.id for one in frames if one.type == "event_start"]
        finals = [one.id for one in frames if one.type == "agent.message"]
        assert starts == finals
        for one in finals:
            deltas = [
                each for each in frames if each.type == "event_delta" and each.event_id == one
            ]
            text = next(each for each in frames if each.type == "agent.message" and each.id == one).content[0].text  # fmt: skip
            assert deltas
            assert text.startswith("".join(each.delta.content.text for each in deltas))
        refused(anthropic.BadRequestError, open_stream, self.events, session.id)

    def step_8(self) -> None:
        agent = self.beta.agents.create(name="paged", model=self.model)
        made = [self.beta.sessions.create(agent=agent.id, environment_id=self.place.id).id for _ in range(3)]  # fmt: skip
        some = {"agent_id": agent.id, "limit": 1}
        assert [one.id for one in self.beta.sessions.list(**some)] == made[::-1]
        first = self.beta.sessions.list(**some)
        second = self.beta.sessions.list(**some, page=first.next_page)
        assert first.prev_page is None
        back = self.beta.sessions.list(**some, page=second.prev_page)
        assert [one.id for one in back.data] == [one.id for one in first.data] == made[-1:]
        refused(anthropic.BadRequestError, self.beta.sessions.list, **some, order="asc", page=first.next_page)  # fmt: skip
        session = self.session(initial_events=[say("plain")])
        with self.events.stream(session.id) as stream:
            self.turn(stream)
        whole = [one.id for one in self.listed(session, limit=1000)]
        assert [one.id for one in self.listed(session, limit=1)] == whole
        assert [one.id for one in self.listed(session, limit=2, order="desc")] == whole[::-1]

    def step_11(self) -> None:
        session, sessions = self.session(), self.beta.sessions
        with self.events.stream(session.id) as stream:
            self.events.send(session.id, events=[say("long")])
            self.turn(stream, "agent.tool_use")
            refused(anthropic.BadRequestError, sessions.archive, session.id)
            refused(anthropic.BadRequestError, sessions.delete, session.id)
            self.events.send(session.id, events=[{"type": "user.interrupt"}])
            assert self.turn(stream)[-1].stop_reason.type == "end_turn"
            gone = sessions.delete(session.id)
            assert (gone.id, gone.type) == (session.id, "session_deleted")
            assert [one.type for one in stream] == ["session.deleted"]
        refused(anthropic.NotFoundError, sessions.retrieve, session.id)

    def step_12(self) -> None:
        session = self.session(initial_events=[say("lookup twice")])

        @anthropic.beta_async_tool(name="lookup", description="d")
        async def lookup() -> str:
            return "found"

        async def run() -> int:
            client = anthropic.AsyncAnthropic(base_url=self.url, api_key=self.key, timeout=20)
            async with client:
                runner = client.beta.sessions.events.tool_runner(session.id, tools=[lookup], max_idle=0.5)  # fmt: skip
                return len([call async for call in runner])

        assert asyncio.run(run()) == 2
        listed = self.listed(session)
        assert said(listed) == ["Found."]
        assert listed[-1].stop_reason.type == "end_turn"


def open_stream(events, session_id: str) -> None:
    """A stream with previews of what has none."""
    with events.stream(session_id, event_deltas=["agent.tool_use"]):
        pass


def plain_until_idle(stream) -> list:
    found = []
    for event in stream:
        found.append(event)
        if event.type == "session.status_idle":
            break
    return found


def said(events) -> list[str]:
    return [part.text for one in events if one.type == "agent.message" for part in one.content]


def main(url: str, key: str, model: str) -> dict:
    """Every step; one that fails does not keep the others from running."""
    steps = Steps(url, key, model)
    seen: dict = {"sdk": anthropic.__version__, "passed": [], "failed": {}}
    for number in (1, 2, 3, 4, 5, 6, 7, 8, 11, 12):
        try:
            getattr(steps, f"step_{number}")()
            seen["passed"].append(number)
        except Exception:
            seen["failed"][number] = traceback.format_exc()[-1500:]
    return seen


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
