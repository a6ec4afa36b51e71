"""Bad input, field by field: each is a 400 that begins with its path, and nothing is kept."""

from typing import Any

from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running

TOOLSET = "agent_toolset_20260401"
TEXT = {"type": "text", "text": "x"}


def custom(name: str = "lookup", **more: Any) -> dict[str, Any]:
    return {"type": "custom", "name": name, "description": "d", "input_schema": {"type": "object"}, **more}  # fmt: skip


def a_server(number: int) -> dict[str, Any]:
    return {"type": "url", "name": f"s{number}", "url": f"https://s{number}.example.com/"}


def served(number: int) -> dict[str, Any]:
    return {"type": "mcp_toolset", "mcp_server_name": f"s{number}"}


AGENTS: list[tuple[dict[str, Any], str]] = [
    ({"name": 1}, "name: Input should be a valid string"),
    ({"description": "x" * 2049}, "description: Should have at most 2048"),
    ({"tools": [custom()] * 257}, "tools: Should have at most 256"),
    ({"tools": [{"type": TOOLSET}, *(custom(f"t{n}") for n in range(249))]}, "tools: At most 256 tools"),
    ({"tools": [custom(), custom()]}, 'tools.1.name: "lookup" is used twice'),
    ({"tools": [custom("bash")]}, "tools.0.name: "),
    ({"tools": [custom("ant__x")]}, "tools.0.name: "),
    ({"tools": [custom("x" * 129)]}, "tools.0.name: "),
    ({"tools": [custom(description=" ")]}, "tools.0.description: "),
    ({"tools": [custom(input_schema={"type": "array"})]}, "tools.0.input_schema: "),
    ({"tools": [custom(input_schema={"type": "object", "properties": {"a": {"$ref": "#"}}})]},
     "tools.0.input_schema: "),
    ({"tools": [{"type": TOOLSET}, {"type": TOOLSET}]}, "tools.1: There can be only one"),
    ({"tools": [{"type": TOOLSET, "configs": [{"name": "bash"}, {"name": "bash"}]}]},
     "tools.0.configs.1.name: "),
    ({"mcp_servers": [a_server(n) for n in range(21)]}, "mcp_servers: Should have at most 20"),
    ({"mcp_servers": [a_server(1), a_server(1)], "tools": [served(1)]}, "mcp_servers.1.name: "),
    ({"tools": [served(1)]}, "tools.0.mcp_server_name: "),
    ({"tools": [{"type": "mcp_toolset", "server_name": "s1"}]}, "tools.0.mcp_server_name: Field required"),
    ({"model": {"id": MODEL, "speed": "slow"}}, "model.speed: "),
    ({"model": {"id": MODEL, "inference_geo": "mars"}}, "model.inference_geo: "),
    ({"model": {"id": MODEL, "effort": {"type": "huge"}}}, "model.effort.type: "),
    ({"model": None}, "model"),
    ({"metadata": {"": "x"}}, "metadata: Keys have 1 to 64"),
    ({"metadata": {"k": None}}, "metadata.k: "),
]  # fmt: skip


@requirement("agents:refused-by-path")
async def test_what_an_agent_may_not_be(server: Running) -> None:
    http = server.http()
    for more, said in AGENTS:
        answer = await http.post("/v1/agents", json={"name": "n", "model": MODEL, **more})
        assert answer.status_code == 400, (more, answer.text)
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert (await http.get("/v1/agents")).json()["data"] == []


def message(*content: Any) -> dict[str, Any]:
    return {"type": "user.message", "content": list(content)}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


OUTCOME = {"type": "user.define_outcome", "description": "d", "rubric": {"type": "text", "content": "r"}}  # fmt: skip
EVENTS: list[tuple[dict[str, Any], str]] = [
    ({"type": "agent.message", "content": []}, "events.0.type: Expected one of"),
    (message(), "events.0.content: Should have at least 1"),
    ({"type": "user.message", "content": "hi"}, "events.0.content: Input should be a valid list"),
    (message({"type": "text", "text": " "}), "events.0.content.0.text: "),
    (message({"type": "redacted"}), "events.0.content.0: A message cannot hold redacted"),
    (message({"type": "search_result"}), "events.0.content.0.type: Expected one of"),
    (message(image(type="base64", media_type="image/tiff", data="eA==")), "events.0.content.0.source.media_type: "),
    (message(image(type="base64", media_type="image/png", data="?")), "events.0.content.0.source.data: "),
    (message(image(type="url", url="ftp://x/y")), "events.0.content.0.source.url: "),
    (message(image(type="file", file_id="file_none")), "events.0.content.0.source.file_id: "),
    ({"type": "user.interrupt", "session_thread_id": "sthr_none"}, "events.0.session_thread_id: "),
    ({"type": "user.tool_confirmation", "tool_use_id": "x", "result": "maybe"}, "events.0.result: "),
    ({"type": "user.tool_confirmation", "tool_use_id": "x", "result": "allow", "deny_message": "no"},
     "events.0.deny_message: Only allowed"),
    ({"type": "user.custom_tool_result", "custom_tool_use_id": "x", "content": []},
     "events.0.custom_tool_use_id: There is no"),
    ({"type": "user.tool_result", "tool_use_id": "x"}, "events.0.t"),
    ({"type": "system.message", "content": []}, "events.0.content: Should have at least 1"),
    ({"type": "system.message", "content": [TEXT] * 1001}, "events.0.content: Should have at most 1000"),
    ({**OUTCOME, "rubric": None}, "events.0.rubric"),
    ({**OUTCOME, "rubric": {"type": "text", "content": "x" * 262_145}}, "events.0.rubric.content: "),
    ({**OUTCOME, "max_iterations": 21}, "events.0.max_iterations: "),
    ({**OUTCOME, "max_iterations": 0}, "events.0.max_iterations: "),
    (OUTCOME, "events.0.type: Outcomes are not available"),
]  # fmt: skip


@requirement("events:refused-by-path")
async def test_what_an_event_may_not_be(server: Running, session: Any) -> None:
    http = server.http()
    path = f"/v1/sessions/{session.id}"
    for event, said in EVENTS:
        answer = await http.post(f"{path}/events", json={"events": [event]})
        assert answer.status_code == 400, (event, answer.text)
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert (await http.get(f"{path}/events")).json()["data"] == []
    assert (await http.get(path)).json()["status"] == "idle"


FILE_DOCUMENT = {"type": "document", "source": {"type": "file", "file_id": "file_none"}}
INITIAL: list[tuple[list[dict[str, Any]], str]] = [
    ([OUTCOME, OUTCOME], "initial_events: At most one user.define_outcome"),
    ([{**OUTCOME, "rubric": None}], "initial_events.0.rubric"),
    ([message(*[FILE_DOCUMENT] * 60), message(*[FILE_DOCUMENT] * 41)], "initial_events: At most 100 documents"),
    ([message(TEXT), {"type": "system.message", "content": [TEXT]}], "initial_events.1.type: Only"),
    ([message(TEXT), message(FILE_DOCUMENT)], "initial_events.1.content.0.source.file_id: "),
]  # fmt: skip


@requirement("sessions:refused-by-path", "sessions:initial-events")
async def test_what_initial_events_may_not_be(
    server: Running, agent: Any, environment: Any
) -> None:
    http = server.http()
    for events, said in INITIAL:
        body = {"agent": agent.id, "environment_id": environment.id, "initial_events": events}
        answer = await http.post("/v1/sessions", json=body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["message"].startswith(said), answer.text
    assert (await http.get("/v1/sessions")).json()["data"] == []


# wire §5.3, row by row: what an override says → the field of the session's agent, or the refusal.
OVERRIDES: list[tuple[dict[str, Any], dict[str, Any] | str]] = [
    ({}, {"system": "s", "model": {"id": MODEL, "effort": {"type": "low"}, "speed": "fast", "inference_geo": "us"}}),
    ({"system": "t"}, {"system": "t"}),
    ({"system": None}, {"system": None}),
    ({"system": ""}, {"system": None}),
    ({"skills": None}, {"skills": []}),
    ({"skills": []}, {"skills": []}),
    ({"model": {"id": MODEL, "effort": "max"}},
     {"model": {"id": MODEL, "effort": {"type": "high"}, "speed": "standard", "inference_geo": None}}),
    ({"model": {"id": MODEL, "inference_geo": "global"}},
     {"model": {"id": MODEL, "effort": {"type": "high"}, "speed": "standard", "inference_geo": "global"}}),
    ({"model": None}, "agent.model: A session needs a model"),
    ({"tools": [custom("other")], "mcp_servers": []}, {"tools": [custom("other")], "mcp_servers": []}),
    ({"tools": None, "mcp_servers": None}, {"tools": [], "mcp_servers": []}),
    ({"tools": []}, "agent.mcp_servers.0.name: No mcp_toolset"),
    ({"mcp_servers": None}, "agent.tools.1.mcp_server_name: "),
    ({"mcp_servers": []}, "agent.tools.1.mcp_server_name: "),
    ({"name": "x"}, "agent.name: Extra inputs"),
]  # fmt: skip


@requirement("sessions:overrides")
async def test_every_row_of_overrides(server: Running, environment: Any) -> None:
    http = server.http()
    model = {"id": MODEL, "effort": "low", "speed": "fast", "inference_geo": "us"}
    body = {
        "name": "a", "model": model, "system": "s", "tools": [custom(), served(1)],
        "mcp_servers": [{"type": "url", "name": "s1", "url": "https://s1.example.com/"}],
    }  # fmt: skip
    base = (await http.post("/v1/agents", json=body)).json()
    for given, expected in OVERRIDES:
        agent = {"type": "agent_with_overrides", "id": base["id"], **given}
        new = {"agent": agent, "environment_id": environment.id}
        answer = await http.post("/v1/sessions", json=new)
        if isinstance(expected, str):
            assert answer.status_code == 400, (given, answer.text)
            assert answer.json()["error"]["message"].startswith(expected), answer.text
        else:
            assert answer.status_code == 200, (given, answer.text)
            found = answer.json()["agent"]
            assert {name: found[name] for name in expected} == expected, given
    assert (await http.get(f"/v1/agents/{base['id']}")).json() == base
