"""What a worker's credentials may do: exactly what the table says, on every route there is."""

import json
import re

import pytest

from agentstead.api import scopes
from agentstead.api.scopes import ALLOWED, ENVIRONMENT_KEY, ITEM_TOKEN
from agentstead.resources import ROUTERS
from tests.support.hosted import self_hosted, token_of
from tests.support.server import serving

ROUTES = [
    (route.method, route.path) for router in ROUTERS for route in router.routes if route.needs_key
]


def test_the_table_names_routes_that_exist() -> None:
    assert set(ALLOWED) <= set(ROUTES)


@pytest.mark.parametrize("kind", [ENVIRONMENT_KEY, ITEM_TOKEN])
async def test_every_other_route_is_refused(database_url: str, kind: str) -> None:
    async with serving(database_url) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        item = await hosted.taken()
        secret = hosted.key if kind == ENVIRONMENT_KEY else token_of(item.secret)
        ids = {
            "environment_id": hosted.environment.id,
            "session_id": session.id,
            "work_id": item.id,
        }
        http = server.http(headers={"x-api-key": secret})
        tried = 0
        for method, path in ROUTES:
            if kind in ALLOWED.get((method, path), ()):
                continue
            url = re.sub(r"{(\w+)(:\w+)?}", lambda name: ids.get(name[1], "x_1"), path)
            answer = await http.request(method, url)
            assert answer.status_code == 403, (method, path, answer.text)
            error = answer.json()["error"]
            assert error["type"] == "permission_error"
            assert kind in error["message"]
            tried += 1
        assert tried > 20


@pytest.mark.parametrize("kind", [ENVIRONMENT_KEY, ITEM_TOKEN])
async def test_skills_are_those_of_the_sessions_that_are_served(
    database_url: str, kind: str
) -> None:
    async with serving(database_url) as server:
        hosted = await self_hosted(server)
        session = await hosted.session("go")
        item = await hosted.taken()
        secret = hosted.key if kind == ENVIRONMENT_KEY else token_of(item.secret)
        row = await server.database.fetch_one(
            "select agent from sessions where id = %s", (session.id,)
        )
        assert row
        agent = {**row["agent"], "skills": [{"type": "custom", "skill_id": "skill_mine"}]}
        await server.database.execute(
            "update sessions set agent = %s where id = %s", (json.dumps(agent), session.id)
        )
        http = server.http(headers={"x-api-key": secret})
        for skill, refusal in (("skill_mine", False), ("skill_other", True)):
            for path in ("versions/latest", "versions/latest/content"):
                answer = await http.get(f"/v1/skills/{skill}/{path}")
                assert answer.status_code == 404  # neither is there; only one may be asked for
                assert (kind in answer.json()["error"]["message"]) is refusal


async def test_an_api_key_has_no_scope() -> None:
    await scopes.check(None, "wrkspc_1", None, ("GET", "/v1/agents"), {})  # type: ignore[arg-type]
