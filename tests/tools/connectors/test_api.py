"""APIs as tools: what each permission lets through, and what a fault makes of a call."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from agentstead.errors import Invalid
from agentstead.tools.connectors.api import ApiConfig
from agentstead.tools.connectors.targets import Targets
from agentstead.wire.shape import validate
from tests.support.customers import Customers, customers_serving
from tests.tools.connectors.declaring import Place, place, said


@pytest.fixture
async def api() -> AsyncIterator[Customers]:
    async with customers_serving() as served:
        yield served


@pytest.fixture
async def here() -> AsyncIterator[Place]:
    async with place() as found:
        yield found


def an_api(here: Place, api: Customers, path: str = "/customers", **more: Any) -> Any:
    config = {
        "type": "api", "endpoint": f"{api.url}{path}",
        "auth": {"type": "header", "name": "X-Key", "value": "hidden-key"},
        **more.pop("config", {}),
    }  # fmt: skip
    return here.declared("crm", config, **more)


ESCAPES = [
    "..", ".", "../admin", "1/../../admin", "..%2fadmin", "%2e%2e", "1?admin=1", "1#x", "//evil.test",
    "http://evil.test/", "1\\..\\admin", "1/orders", "\x00", "1\r\nX-Other: y",
]  # fmt: skip


async def test_an_id_is_one_segment_whatever_is_in_it(here: Place, api: Customers) -> None:
    declared = an_api(here, api, read=True)
    for key in ESCAPES:
        outcome = await here.call(declared, "get", id=key)
        assert key not in (".", "..") or said(outcome).startswith("invalid input")
    for one in api.asked:
        assert one.path.startswith("/customers/")
        assert one.path.count("/") == 2
        assert "evil" not in one.headers["host"]
        assert one.query == {}


@pytest.mark.parametrize("tool", ["create", "update", "delete"])
async def test_what_is_not_granted_is_not_there(here: Place, api: Customers, tool: str) -> None:
    declared = an_api(here, api, read=True)
    offered = [one.name for one in await here.connectors.tools(declared)]
    assert offered == ["crm_list", "crm_get"]
    outcome = await here.call(declared, tool, id="1", body={})
    assert said(outcome) == "permission denied: crm is read-only."
    assert api.asked == []


async def test_writing_does_not_mean_deleting(here: Place, api: Customers) -> None:
    declared = an_api(here, api, read=True, write=True)
    assert (
        said(await here.call(declared, "delete", id="1"))
        == "permission denied: crm may not delete."
    )
    for body in ({"_method": "DELETE"}, {"_METHOD": "delete", "name": "x"}):
        assert "_" in said(await here.call(declared, "create", body=body))
        assert said(await here.call(declared, "update", id="1", body=body)).startswith(
            "permission denied"
        )
    override = {"_method": "DELETE"}
    assert (await here.call(declared, "list", query=override)).is_error
    assert api.asked == []
    assert api.rows == {"1": {"id": "1", "name": "Ada"}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"id": "1", "method": "DELETE"}, "method"),
        ({"id": "1", "headers": {"X-HTTP-Method-Override": "DELETE"}}, "headers"),
        ({"id": {"a": 1}}, "id: "),
        ({}, "id"),
    ],
)
async def test_an_input_is_what_its_schema_says(
    here: Place, api: Customers, given: dict[str, Any], words: str
) -> None:
    outcome = await here.call(an_api(here, api, read=True), "get", **given)
    assert said(outcome).startswith("invalid input: ")
    assert words in said(outcome)
    assert api.asked == []


@pytest.mark.parametrize(
    "header",
    ["Authorization", "X-HTTP-Method-Override", "Host", "Idempotency-Key", "x-method-override"],
)
def test_a_declaration_sets_no_header_that_is_ours(header: str) -> None:
    given = {"type": "api", "endpoint": "https://a.test", "headers": {header: "x"}}
    with pytest.raises(Invalid, match=r"^headers: "):
        validate(ApiConfig, given)


@pytest.mark.parametrize(
    "endpoint",
    ["a.test/x", "ftp://a.test", "https://", "https://u:p@a.test", "https://a.test?x=1",
     "https://a.test/../x", "https://a.test#x", "file:///etc/passwd"],
)  # fmt: skip
def test_an_endpoint_that_is_wrong_is_refused_by_field(endpoint: str) -> None:
    with pytest.raises(Invalid, match=r"^endpoint: "):
        validate(ApiConfig, {"type": "api", "endpoint": endpoint})


async def test_a_redirect_leads_nowhere_else(here: Place, api: Customers) -> None:
    away = an_api(here, api, "/odd/away", read=True)
    assert "redirects to another host" in said(await here.call(away, "list"))
    same = an_api(here, api, "/odd/here", read=True)
    assert "Ada" in said(await here.call(same, "list"))
    write = an_api(here, api, "/odd/here", write=True)
    before = len(api.asked)
    assert "not followed" in said(await here.call(write, "create", body={}))
    assert len(api.asked) == before + 1


async def test_private_hosts_are_refused_unless_listed(api: Customers) -> None:
    async with place(Targets()) as nowhere:
        outcome = await nowhere.call(an_api(nowhere, api, read=True), "list")
        assert "AGENTSTEAD_CONNECTOR_PRIVATE_HOSTS" in said(outcome)
        for host in ("169.254.169.254", "[::ffff:127.0.0.1]", "0x7f000001", "localhost"):
            config = {"type": "api", "endpoint": f"http://{host}:1/x"}
            outcome = await nowhere.call(nowhere.declared("m", config, read=True), "list")
            assert said(outcome).startswith("not reached, nothing was done"), host
    async with place(Targets.listed(["0.0.0.0/0", "metadata.test"])) as anywhere:
        config = {"type": "api", "endpoint": "http://169.254.169.254/latest"}
        outcome = await anywhere.call(anywhere.declared("m", config, read=True), "list")
        assert "may not go" in said(outcome)
    assert api.asked == []


async def test_a_read_is_repeated_and_a_write_is_not(here: Place, api: Customers) -> None:
    api.failures = [Response(status_code=500), Response(status_code=502)]
    declared = an_api(here, api, read=True, write=True, retries_max=2)
    assert "Ada" in said(await here.call(declared, "get", id="1"))
    assert len(api.asked) == 3
    api.failures = [Response("half done", 500)]
    outcome = await here.call(declared, "create", body={"name": "Eve"})
    assert said(outcome).startswith("outcome unknown: HTTP status 500: half done")
    assert len(api.asked) == 4
    api.failures = [Response(status_code=429, headers={"retry-after": "0"})]
    assert not (await here.call(declared, "create", body={"name": "Eve"})).is_error
    assert len(api.asked) == 6
    assert {one.headers["idempotency-key"] for one in api.asked[3:]} == {"sevt_1"}


async def test_a_target_that_keeps_keys_is_asked_again(here: Place, api: Customers) -> None:
    declared = an_api(here, api, write=True, retries_max=1, config={"idempotency_keys": True})
    api.failures = [Response(status_code=500)]
    assert not (await here.call(declared, "create", body={})).is_error
    assert len({one.headers["idempotency-key"] for one in api.asked}) == 1
    assert all(tool.repeatable for tool in await here.connectors.tools(declared))


async def test_a_target_that_fails_is_left_alone(here: Place, api: Customers) -> None:
    api.failures = [Response(status_code=500) for _ in range(5)]
    declared = an_api(here, api, read=True)
    for _ in range(5):
        await here.call(declared, "list")
    assert said(await here.call(declared, "list")).startswith(
        "nothing was done: crm failed 5 times"
    )
    assert len(api.asked) == 5


async def test_secrets_go_to_the_target_only(here: Place, api: Customers) -> None:
    declared = an_api(here, api, read=True)
    api.failures = [JSONResponse({"error": "no"}, 401)]
    outcome = await here.call(declared, "list")
    assert said(outcome) == 'access refused: HTTP status 401: {"error":"no"}'
    assert api.asked[0].headers["x-key"] == "hidden-key"
    assert "hidden-key" not in repr(declared)


DOCUMENT = {
    "openapi": "3.1.0",
    "paths": {
        "/customers/{id}": {
            "parameters": [{"$ref": "#/components/parameters/Id"}],
            "get": {
                "operationId": "getCustomer",
                "parameters": [
                    {"name": "fields", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "X-HTTP-Method-Override", "in": "header", "schema": {"type": "string"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "put": {
                "operationId": "putCustomer",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Customer"}}},
                },
            },
            "delete": {},
        }
    },
    "components": {
        "parameters": {"Id": {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}},
        "schemas": {
            "Customer": {
                "type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}, "parent": {"$ref": "#/components/schemas/Customer"}},
            }
        },
    },
}  # fmt: skip


async def test_a_document_gives_a_tool_for_each_operation(here: Place, api: Customers) -> None:
    declared = an_api(here, api, "", read=True, write=True, config={"openapi": DOCUMENT})
    tools = {one.name: one for one in await here.connectors.tools(declared)}
    assert list(tools) == ["crm_get_customer", "crm_put_customer"]
    assert set(tools["crm_get_customer"].input_schema["properties"]) == {"id", "fields", "X-Trace"}
    given = {"id": "1", "fields": ["a", "b"], "X-Trace": "t\r\nX-Evil: 1"}
    await here.call(declared, "get_customer", **given)
    assert api.asked[0].path == "/customers/1"
    assert api.asked[0].headers["x-trace"] == "t X-Evil: 1"
    assert "x-evil" not in api.asked[0].headers
    wrong = await here.call(declared, "put_customer", id="1", body={"fullname": "x"})
    assert said(wrong).startswith("invalid input: body: ")
    assert not (await here.call(declared, "put_customer", id="1", body={"name": "x"})).is_error
    assert api.rows["1"] == {"name": "x"}
    gone = await here.call(declared, "delete_customers_id", id="1")
    assert said(gone) == "permission denied: crm may not delete."


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"swagger": "2.0"}, "version 3"),
        ({"openapi": "3.0.0", "paths": {}}, "There are none"),
        ({"openapi": "3.0.0", "paths": {"/x": {}}}, "no operation"),
        ({"openapi": "3.0.0", "paths": {"/{x}": {"get": {}}}}, "no path parameter"),
        ({"openapi": "3.0.0", "paths": {"/x": {"get": {"parameters": [{"$ref": "http://a/b"}]}}}}, "outside"),
        ({"openapi": "3.0.0", "paths": {"/x": {"get": {"parameters": [{"$ref": "#/a/b"}]}}}}, "is not in"),
        ({"openapi": "3.0.0", "paths": {"/x": {"get": {"operationId": "a"}}, "/y": {"get": {"operationId": "a"}}}},
         "Two operations"),
    ],
)  # fmt: skip
async def test_a_document_that_is_wrong_is_refused(
    here: Place, api: Customers, document: dict[str, Any], words: str
) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        an_api(here, api, config={"openapi": document})
    assert caught.value.message.startswith("config.openapi")
