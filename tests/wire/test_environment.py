"""Environment configs: filled in, merged, refused."""

import json
from typing import Any

import pytest
from anthropic.types.beta import BetaCloudConfig

from agentstead.errors import Invalid
from agentstead.wire.environment import EMPTY, EnvironmentUpdate, allows, merged
from agentstead.wire.shape import parse


def after(stored: Any, config: Any) -> dict[str, Any]:
    body = parse(EnvironmentUpdate, json.dumps({"config": config}).encode())
    return merged(stored, body.config)


# wire §4.1, clients rules 22 and 23
def test_whatever_is_left_out_is_filled_in() -> None:
    limited = {"type": "limited", "allowed_hosts": [], "allow_mcp_servers": False,
               "allow_package_managers": False}  # fmt: skip
    assert after(None, None) == EMPTY
    assert after(None, {"type": "anthropic_cloud"}) == EMPTY
    assert (
        after(None, {"type": "cloud", "networking": {"type": "limited"}})["networking"] == limited
    )
    pip = after(None, {"type": "cloud", "packages": {"pip": ["pandas==2.0"]}})["packages"]
    assert pip == {**EMPTY["packages"], "pip": ["pandas==2.0"]}
    assert after(None, {"type": "self_hosted"}) == {"type": "self_hosted"}
    BetaCloudConfig.model_validate(EMPTY)


# wire §4.2
def test_an_update_keeps_what_it_does_not_name() -> None:
    stored = after(
        None,
        {
            "type": "cloud",
            "networking": {
                "type": "limited",
                "allowed_hosts": ["a.com"],
                "allow_package_managers": True,
            },
            "packages": {"pip": ["x"], "apt": ["jq"]},
        },
    )
    changed = after(
        stored, {"type": "cloud", "networking": {"type": "limited", "allow_mcp_servers": True}}
    )
    assert changed["networking"]["allowed_hosts"] == ["a.com"]
    assert changed["networking"]["allow_mcp_servers"] is True
    assert changed["packages"] == stored["packages"]
    changed = after(stored, {"type": "cloud", "packages": {"pip": []}})
    assert changed["packages"]["pip"] == []
    assert changed["packages"]["apt"] == ["jq"]
    assert changed["networking"] == stored["networking"]


def test_the_type_stays() -> None:
    with pytest.raises(Invalid) as caught:
        after(EMPTY, {"type": "self_hosted"})
    assert caught.value.code == "invalid_config_type_change"
    assert after(EMPTY, {"type": "anthropic_cloud"}) == EMPTY


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"type": "vm"}, "config.type: Expected one of"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["https://a"]}},
         "config.networking.allowed_hosts.0: Must be a bare host name"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.com:80"]}},
         "config.networking.allowed_hosts.0: Must be a bare host name"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.*.com"]}},
         "config.networking.allowed_hosts.0: Must be a bare host name"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["a.com", "10.0.0.1"]}},
         "config.networking.allowed_hosts.1: Must be a host name, not an address"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": ["0x7f000001"]}},
         "config.networking.allowed_hosts.0: Must be a host name, not an address"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": [f"a{n}.com" for n in range(65)]}},
         "config.networking.allowed_hosts: "),
        ({"type": "cloud", "networking": {"type": "limited"}, "packages": {"pip": ["x"]}},
         "config.packages.pip: Packages under limited networking"),
        ({"type": "cloud", "packages": {"pip": ["-r x"]}}, "config.packages.pip.0"),
        ({"type": "self_hosted", "packages": {}}, "config.packages: Extra inputs"),
    ],
)  # fmt: skip
def test_a_wrong_config_is_refused_by_its_path(config: Any, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        after(None, config)
    assert caught.value.message.startswith(said)


def test_hosts_match_by_name_or_wildcard() -> None:
    assert allows(["mcp.a.com"], "mcp.a.com")
    assert allows(["*.A.com"], "x.y.a.com")
    assert not allows(["*.a.com"], "a.com")
    assert not allows(["a.com"], "b.a.com")
