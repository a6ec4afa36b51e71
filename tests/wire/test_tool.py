"""Tools: what is refused, what is filled in."""

import json
from typing import Any

import pytest
from anthropic.types.beta import BetaManagedAgentsAgentToolset20260401, BetaManagedAgentsMCPToolset

from agentstead.errors import Invalid
from agentstead.wire.agent import AgentCreate
from agentstead.wire.shape import parse
from agentstead.wire.tool import check_tools, resolve

TOOLSET = "agent_toolset_20260401"


def resolved(*tools: Any) -> list[dict[str, Any]]:
    body = {"name": "n", "model": "m", "tools": list(tools)}
    return resolve(parse(AgentCreate, json.dumps(body).encode()).tools or ())


def refusal(*tools: Any, servers: Any = ()) -> str:
    with pytest.raises(Invalid) as caught:
        check_tools(resolved(*tools), servers)
    return caught.value.message


def custom(name: str = "lookup", **schema: Any) -> dict[str, Any]:
    return {
        "type": "custom",
        "name": name,
        "description": "d",
        "input_schema": {"type": "object", **schema},
    }


# wire §3.2, §19: the resolved form.
def test_every_default_is_filled_in() -> None:
    asks = {"type": "always_ask"}
    allows = {"type": "always_allow"}
    assert resolved({"type": TOOLSET}) == [
        {
            "type": TOOLSET,
            "default_config": {"enabled": True, "permission_policy": allows},
            "configs": [],
        }
    ]
    found = resolved(
        {
            "type": TOOLSET,
            "default_config": {"enabled": False},
            "configs": [{"name": "bash", "permission_policy": asks}, {"name": "web_fetch"}],
        }
    )[0]
    assert found["configs"] == [
        {"type": "bash", "name": "bash", "enabled": False, "permission_policy": asks},
        {"type": "web_fetch", "name": "web_fetch", "enabled": False, "permission_policy": allows,
         "allowed_domains": None, "blocked_domains": None, "max_content_tokens": None,
         "url_sources": None},
    ]  # fmt: skip
    BetaManagedAgentsAgentToolset20260401.model_validate(found)


# wire §3.4, §17 trap 12: MCP entries have no type, and ask by default.
def test_mcp_tools_ask_by_default_and_carry_no_type() -> None:
    found = resolved(
        {
            "type": "mcp_toolset",
            "mcp_server_name": "s",
            "configs": [{"name": "x", "enabled": False}],
        }
    )[0]
    asks = {"type": "always_ask"}
    assert found == {
        "type": "mcp_toolset",
        "mcp_server_name": "s",
        "default_config": {"enabled": True, "permission_policy": asks},
        "configs": [{"name": "x", "enabled": False, "permission_policy": asks}],
    }
    BetaManagedAgentsMCPToolset.model_validate(found)


def test_web_settings_are_echoed_in_object_form() -> None:
    found = resolved(
        {
            "type": TOOLSET,
            "configs": [
                {"name": "web_fetch", "allowed_domains": ["docs.example.com"],
                 "url_sources": {"user_input": "none", "server_tool_results": {
                     "type": "only", "tools": [{"type": "tool_reference", "name": "web_search"}]}}},
                {"name": "web_search", "blocked_domains": ["example.com/ads"],
                 "user_location": {"type": "approximate", "country": "CH"}},
            ],
        }
    )[0]  # fmt: skip
    fetch, search = found["configs"]
    assert fetch["url_sources"] == {
        "user_input": {"type": "none"},
        "client_tool_results": None,
        "server_tool_results": {
            "type": "only",
            "tools": [{"type": "tool_reference", "name": "web_search"}],
        },
    }
    assert search["user_location"]["country"] == "CH"
    BetaManagedAgentsAgentToolset20260401.model_validate(found)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"name": "nope"}, "tools.0.configs.0.name: Expected one of"),
        ({"name": "bash", "type": "read"}, "tools.0.configs.0.type: Input should be 'bash'"),
        ({"name": "bash", "permission_policy": "always_ask"}, "tools.0.configs.0.permission_policy"),
        ({"name": "bash", "allowed_domains": ["a.com"]}, "tools.0.configs.0.allowed_domains: Extra"),
        ({"name": "web_fetch", "allowed_domains": []},
         "tools.0.configs.0.allowed_domains: Empty list of domains is ambiguous. Provide at least"),
        ({"name": "web_fetch", "allowed_domains": ["a.com"], "blocked_domains": ["b.com"]},
         "tools.0.configs.0: Only one of allowed_domains or blocked_domains may be set."),
        ({"name": "web_fetch", "url_sources": dict.fromkeys(
            ("user_input", "client_tool_results", "server_tool_results"), "none")},
         "tools.0.configs.0.url_sources: At least one source"),
        ({"name": "web_fetch", "max_content_tokens": 0}, "tools.0.configs.0.max_content_tokens"),
        ({"name": "web_fetch", "allowed_domains": ["a.com/x"]}, "tools.0.configs.0.allowed_domains"),
    ],
)  # fmt: skip
def test_a_wrong_entry_is_refused_by_its_path(config: Any, said: str) -> None:
    assert refusal({"type": TOOLSET, "configs": [config]}).startswith(said)


# wire §3.2: which domains are none.
@pytest.mark.parametrize(
    "domain",
    ["http://a.com", "a.com:80", "u@a.com", "*.a.com", "a b.com", "10.0.0.1", "[::1]", "com",
     "co.uk", "localhost", "a.local", "a.internal", "x.localdomain", "x.invalid", "bücher.de", ""],
)  # fmt: skip
def test_a_domain_is_a_public_host_by_its_plain_name(domain: str) -> None:
    config = {"name": "web_fetch", "blocked_domains": [domain]}
    assert refusal({"type": TOOLSET, "configs": [config]}).startswith(
        "tools.0.configs.0.blocked_domains"
    )


def test_a_domain_is_listed_once() -> None:
    config = {"name": "web_search", "blocked_domains": ["a.com", "A.com"]}
    assert "twice" in refusal({"type": TOOLSET, "configs": [config]})


# wire §3.5
@pytest.mark.parametrize("name", ["bash", "mcp__x", "ant__x", "with space", "", "x" * 129, "é"])
def test_a_custom_tools_name_is_its_own(name: str) -> None:
    assert refusal(custom(name)).startswith("tools.0.name")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string"},
        {"oneOf": []},
        {"properties": {"a b": {}}},
        {"properties": {"a": {"$ref": "#/x"}}},
        {"properties": []},
        {"required": "a"},
    ],
)
def test_an_input_schema_is_a_plain_object(schema: Any) -> None:
    assert refusal(custom(**schema)).startswith("tools.0.input_schema")


def test_an_input_schema_is_echoed_as_it_was() -> None:
    tool = custom(properties={"a": {"type": "integer", "x-own": [1]}}, required=["a"])
    assert resolved(tool) == [tool]


# wire §2.4
def test_rules_over_several_tools() -> None:
    toolset = {"type": "mcp_toolset", "mcp_server_name": "s"}
    server = {"type": "url", "name": "s", "url": "https://mcp.example.com"}
    check_tools(resolved(toolset), [server])
    assert refusal(toolset).startswith('tools.0.mcp_server_name: "s" is not declared')
    assert refusal(servers=[server]).startswith("mcp_servers.0.name: No mcp_toolset")
    assert refusal(toolset, servers=[server, server]).startswith("mcp_servers.1.name")
    assert refusal(toolset, toolset, servers=[server]).startswith("tools.1.mcp_server_name")
    assert refusal(custom(), custom()).startswith("tools.1.name")
    assert refusal({"type": TOOLSET}, {"type": TOOLSET}).startswith("tools.1:")
    twice = {"type": TOOLSET, "configs": [{"name": "bash"}, {"name": "bash"}]}
    assert refusal(twice).startswith("tools.0.configs.1.name")


# clients rule 50
def test_a_stale_field_of_an_mcp_toolset_is_named() -> None:
    assert "mcp_server_name" in refusal({"type": "mcp_toolset", "server_name": "s"})
