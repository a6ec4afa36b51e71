"""Every operation on every noun in every state of its life: one table (wire §13).

A row is an operation, a column is a state of what it is done to. There is no way back from any.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from agentstead.log.log import Change
from agentstead.store.workspace import DEFAULT_WORKSPACE
from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running

MESSAGE = {"type": "user.message", "content": [{"type": "text", "text": "hi"}]}
AT = "2026-11-24T10:00:00Z"
FILE = {
    "id": "sesrsc_1", "type": "file", "file_id": "file_1", "mount_path": "/a", "created_at": AT,
    "updated_at": AT,
}  # fmt: skip

OK, REFUSED, GONE = 200, 400, 404
Table = list[tuple[str, str, Any, dict[str, int]]]

AGENT: Table = [
    ("GET", "/v1/agents/{agent}", None, {"live": OK, "archived": OK}),
    ("GET", "/v1/agents/{agent}?version=1", None, {"live": OK, "archived": OK}),
    ("GET", "/v1/agents/{agent}/versions", None, {"live": OK, "archived": OK}),
    ("POST", "/v1/agents/{agent}", {"name": "new"}, {"live": OK, "archived": REFUSED}),
    ("POST", "/v1/agents/{agent}", {}, {"live": OK, "archived": REFUSED}),
    ("POST", "/v1/agents/{agent}/archive", None, {"live": OK, "archived": OK}),
    ("DELETE", "/v1/agents/{agent}", None, {"live": 405, "archived": 405}),
    ("DELETE", "/v1/agents/{agent}/versions", None, {"live": 405, "archived": 405}),
    ("POST", "/v1/sessions", {"agent": "{agent}", "environment_id": "{spare}"}, {"live": OK, "archived": REFUSED}),
    ("POST", "/v1/agents", {"name": "boss", "model": MODEL,
                            "multiagent": {"type": "coordinator", "agents": ["{agent}"]}}, {"live": OK, "archived": REFUSED}),
    ("POST", "/v1/sessions/{session}/events", {"events": [MESSAGE]}, {"live": OK, "archived": OK}),
    ("GET", "/v1/sessions/{session}", None, {"live": OK, "archived": OK}),
]  # fmt: skip

ENVIRONMENT: Table = [
    ("GET", "/v1/environments/{environment}", None, {"live": OK, "archived": OK, "deleted": GONE}),
    ("POST", "/v1/environments/{environment}", {"name": "new"}, {"live": OK, "archived": REFUSED, "deleted": GONE}),
    ("POST", "/v1/environments/{environment}", {}, {"live": OK, "archived": REFUSED, "deleted": GONE}),
    ("POST", "/v1/environments/{environment}/archive", None, {"live": OK, "archived": OK, "deleted": GONE}),
    ("DELETE", "/v1/environments/{environment}", None, {"live": OK, "archived": OK, "deleted": GONE}),
    ("POST", "/v1/sessions", {"agent": "{agent}", "environment_id": "{environment}"}, {"live": OK, "archived": REFUSED, "deleted": GONE}),
    ("POST", "/v1/sessions/{session}/events", {"events": [MESSAGE]}, {"live": OK, "archived": OK, "deleted": OK}),
    ("GET", "/v1/sessions/{session}", None, {"live": OK, "archived": OK, "deleted": OK}),
]  # fmt: skip

S, T, R = "/v1/sessions/{session}", "/v1/sessions/{session}/threads/{thread}", "/resources/sesrsc_1"
READ = {
    "idle": OK,
    "running": OK,
    "rescheduling": OK,
    "terminated": OK,
    "archived": OK,
    "deleted": GONE,
}
WRITE = {**READ, "terminated": REFUSED, "archived": REFUSED}
RESTING = {**READ, "running": REFUSED, "rescheduling": REFUSED}
NEVER = {**dict.fromkeys(READ, REFUSED), "deleted": GONE}
SESSION: Table = [
    ("GET", S, None, READ),
    ("GET", f"{S}/events", None, READ),
    ("GET", f"{S}/threads", None, READ),
    ("GET", T, None, READ),
    ("GET", f"{T}/events", None, READ),
    ("GET", f"{S}/resources", None, READ),
    ("GET", f"{S}{R}", None, READ),
    ("GET", f"{S}/why", None, READ),
    ("HEAD", f"{S}/events/stream", None, READ),
    ("HEAD", f"{T}/stream", None, READ),
    ("POST", S, {"title": "new"}, WRITE),
    ("POST", S, {"metadata": {"a": "b"}}, WRITE),
    ("POST", S, {}, WRITE),
    ("POST", S, {"agent": {"tools": []}}, {**WRITE, "running": REFUSED, "rescheduling": REFUSED}),
    ("POST", S, {"vault_ids": []}, {**NEVER, "deleted": REFUSED}),
    ("POST", f"{S}/events", {"events": [MESSAGE]}, WRITE),
    ("POST", f"{S}/events", {"events": [{"type": "user.interrupt"}]}, WRITE),
    ("POST", f"{S}/archive", None, RESTING),
    ("DELETE", S, None, RESTING),
    ("POST", f"{T}/archive", None, NEVER),
    ("POST", f"{S}/resources", {"type": "file", "file_id": "file_none"}, NEVER),
    ("POST", f"{S}{R}", {"authorization_token": "t"}, NEVER),
    ("DELETE", f"{S}{R}", None, WRITE),
]  # fmt: skip


class Place:
    """The things of one row and column, made anew."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.http: httpx2.AsyncClient = server.http()
        self.ids: dict[str, str] = {}

    async def make(self) -> None:
        self.ids["agent"] = await self.made("/v1/agents", {"name": "a", "model": MODEL})
        for name in ("environment", "spare"):
            self.ids[name] = await self.made("/v1/environments", {"name": "e"})
        body = {"agent": self.ids["agent"], "environment_id": self.ids["environment"]}
        self.ids["session"] = await self.made("/v1/sessions", body)
        path = f"/v1/sessions/{self.ids['session']}"
        self.ids["thread"] = (await self.http.get(f"{path}/threads")).json()["data"][0]["id"]
        await self.set({"resources": [FILE]})

    async def made(self, path: str, body: Any) -> str:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == OK, answer.text
        return str(answer.json()["id"])

    async def set(self, columns: dict[str, Any]) -> None:
        """What a worker would do to the session."""
        await self.server.log.change(
            DEFAULT_WORKSPACE, self.ids["session"], lambda _: Change(columns)
        )

    async def ask(self, verb: str, path: str, body: Any) -> httpx2.Response:
        filled = path.format(**self.ids)
        return await self.http.request(verb, filled, json=self.filled(body))

    def filled(self, body: Any) -> Any:
        if isinstance(body, str) and body.startswith("{"):
            return body.format(**self.ids)
        if isinstance(body, list):
            return [self.filled(one) for one in body]
        if isinstance(body, dict):
            return {name: self.filled(one) for name, one in body.items()}
        return body


def put_away(noun: str, verb: str) -> Callable[[Place], Awaitable[Any]]:
    async def act(place: Place) -> None:
        path = f"/v1/{noun}s/{{{noun}}}"
        if verb == "archive":
            answer = await place.ask("POST", f"{path}/archive", None)
        else:
            answer = await place.ask("DELETE", path, None)
        assert answer.status_code == OK, answer.text

    return act


def status(name: str) -> Callable[[Place], Awaitable[Any]]:
    async def act(place: Place) -> None:
        await place.set({"status": name})

    return act


async def nothing(_: Place) -> None:
    """As it was made."""


STATES: dict[str, dict[str, Callable[[Place], Awaitable[Any]]]] = {
    "agent": {"live": nothing, "archived": put_away("agent", "archive")},
    "environment": {
        "live": nothing,
        "archived": put_away("environment", "archive"),
        "deleted": put_away("environment", "delete"),
    },
    "session": {
        "idle": nothing,
        "running": status("running"),
        "rescheduling": status("rescheduling"),
        "terminated": status("terminated"),
        "archived": put_away("session", "archive"),
        "deleted": put_away("session", "delete"),
    },
}
TABLES = {"agent": AGENT, "environment": ENVIRONMENT, "session": SESSION}
COLUMNS = [(noun, state) for noun, states in STATES.items() for state in states]


@requirement("sessions:matrix")
@pytest.mark.parametrize(("noun", "state"), COLUMNS)
async def test_what_can_be_done_in_every_state(server: Running, noun: str, state: str) -> None:
    kinds = {
        200: None,
        400: "invalid_request_error",
        404: "not_found_error",
        405: "invalid_request_error",
    }
    wrong = []
    for verb, path, body, expected in TABLES[noun]:
        place = Place(server)
        await place.make()
        await STATES[noun][state](place)
        answer = await place.ask(verb, path, body)
        if answer.status_code != expected[state]:
            wrong.append(f"{verb} {path} {body}: {answer.status_code} {answer.text[:200]}")
        elif verb != "HEAD" and (kind := kinds[answer.status_code]):
            assert answer.json()["error"]["type"] == kind
    assert wrong == []


@requirement("sessions:matrix")
def test_the_table_is_whole() -> None:
    for noun, table in TABLES.items():
        assert all(columns.keys() == STATES[noun].keys() for *_, columns in table)


@requirement("sessions:matrix")
@pytest.mark.parametrize("noun", ["agent", "environment", "session"])
async def test_lists_hide_what_is_archived(server: Running, noun: str) -> None:
    place = Place(server)
    await place.make()
    await put_away(noun, "archive")(place)
    path = f"/v1/{noun}s"

    async def listed(query: str = "") -> list[str]:
        return [one["id"] for one in (await place.http.get(path + query)).json()["data"]]

    assert place.ids[noun] not in await listed()
    assert place.ids[noun] not in await listed("?include_archived=false")
    assert place.ids[noun] in await listed("?include_archived=true")


@requirement("sessions:matrix")
async def test_a_refusal_changes_nothing(server: Running) -> None:
    for state in ("running", "rescheduling", "archived"):
        place = Place(server)
        await place.make()
        await STATES["session"][state](place)
        before = (await place.ask("GET", S, None)).json()
        log = (await place.ask("GET", f"{S}/events", None)).json()
        for verb, path, body, expected in SESSION:
            if expected[state] == REFUSED:
                await place.ask(verb, path, body)
        after = (await place.ask("GET", S, None)).json()
        for one in (before, after):
            del one["stats"], one["usage"]  # their clocks run
        assert after == before
        assert (await place.ask("GET", f"{S}/events", None)).json() == log
