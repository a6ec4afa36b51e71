"""Facts of the interface that belong to no other subject: headers, custom tools, echoes, spans."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving


@requirement("errors:request-ids")
async def test_every_answer_has_a_request_id(client: Any, server: Running, session: Any) -> None:
    first = await client.beta.agents.list()
    found = await client.beta.sessions.with_raw_response.retrieve(session.id)
    with pytest.raises(anthropic.NotFoundError) as missing:
        await client.beta.agents.retrieve("agent_none")
    http = server.http()
    ids = {
        first._request_id,
        found.headers["request-id"],
        missing.value.request_id,
        (await http.get("/healthz")).headers["request-id"],
        (await http.get("/nowhere")).headers["request-id"],
        (await http.get("/v1/agents", headers={"x-api-key": "wrong"})).headers["request-id"],
    }
    assert len(ids) == 6
    assert all(one.startswith("req_01") for one in ids)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string", "x-hint": "an order"}, "n.of-items": {"enum": [1, 2]}},
    "required": ["id"],
    "additionalProperties": False,
}
WRONG: dict[str, dict[str, Any]] = {
    "spaces in the name": {"name": "look up"},
    "a name too long": {"name": "x" * 129},
    "a tool of the platform": {"name": "bash"},
    "a prefix of servers": {"name": "mcp__docs"},
    "a prefix of ours": {"name": "ant__x"},
    "no description": {"description": ""},
    "not an object": {"input_schema": {"type": "string"}},
    "a choice on top": {"input_schema": {"type": "object", "oneOf": []}},
    "a reference": {"input_schema": {"type": "object", "properties": {"a": {"$ref": "#/a"}}}},
    "a property's name": {"input_schema": {"type": "object", "properties": {"a b": {}}}},
}


@requirement("agents:custom-tools")
async def test_custom_tools_are_echoed_or_refused(client: Any) -> None:
    tool = {"type": "custom", "name": "look-up_1", "description": "d", "input_schema": SCHEMA}
    made = await client.beta.agents.create(name="a", model=MODEL, tools=[tool])
    assert made.tools[0].to_dict() == tool
    for change in WRONG.values():
        with pytest.raises(anthropic.BadRequestError, match=r"tools\.0"):
            await client.beta.agents.create(name="a", model=MODEL, tools=[{**tool, **change}])
    with pytest.raises(anthropic.BadRequestError, match=r"tools\.1"):
        await client.beta.agents.create(name="a", model=MODEL, tools=[tool, tool])


@requirement("events:echoes")
async def test_events_are_echoed_as_they_were_sent(client: Any, session: Any) -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    paper = {
        "type": "document", "title": "T", "context": "C",
        "source": {"type": "text", "media_type": "text/plain", "data": "words"},
    }  # fmt: skip
    said = [{"type": "text", "text": "Zürich \u202e 🦊 \n\t"}, picture, paper]
    sent = await client.beta.sessions.events.send(
        session.id, events=[{"type": "user.message", "content": said}]
    )
    (echo,) = sent.data
    assert [block.to_dict() for block in echo.content] == said
    (kept,) = [one async for one in client.beta.sessions.events.list(session.id)]
    assert kept.to_dict() == echo.to_dict()
    assert set(kept.to_dict()) == {"id", "type", "content", "processed_at"}


@requirement("turns:spans")
async def test_requests_to_the_model_are_spans_with_their_usage(database_url: str) -> None:
    turns = [{"text": "x", "usage": {"input_tokens": 7, "output_tokens": 3,
                                     "cache_read_input_tokens": 11}}]  # fmt: skip
    async with serving(database_url, workers=1, script={"turns": turns}) as server:
        client = server.sdk()
        agent = await client.beta.agents.create(name="a", model=MODEL)
        place = await client.beta.environments.create(name="e")
        session = await client.beta.sessions.create(agent=agent.id, environment_id=place.id)
        text = [{"type": "text", "text": "hi"}]
        async with await client.beta.sessions.events.stream(session.id) as stream:
            await client.beta.sessions.events.send(
                session.id, events=[{"type": "user.message", "content": text}]
            )
            seen = []
            async for event in stream:
                seen.append(event)
                if event.type == "session.status_idle":
                    break
        found = await client.beta.sessions.retrieve(session.id)
    start = next(one for one in seen if one.type == "span.model_request_start")
    end = next(one for one in seen if one.type == "span.model_request_end")
    assert end.model_request_start_id == start.id
    assert not end.is_error
    usage = end.model_usage.to_dict()
    assert {key: usage[key] for key in usage if key != "speed"} == {
        "input_tokens": 7, "output_tokens": 3, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 11,
    }  # fmt: skip
    total = found.usage.to_dict()
    # The two usage shapes differ (trap 19).
    assert total["cache_creation"] == {
        "ephemeral_5m_input_tokens": 0,
        "ephemeral_1h_input_tokens": 0,
    }
    assert (total["input_tokens"], total["cache_read_input_tokens"]) == (7, 11)
    assert "cache_creation_input_tokens" not in total
