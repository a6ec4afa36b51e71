"""What stands for a secret is about as long as it, begins as all of its kind do, and is random else."""

import pytest

from agentstead.resources.vaults.placeholders import LENGTHS, RANDOM_MIN, placeholder_for
from agentstead.resources.vaults.variables import is_for


@pytest.mark.parametrize(
    ("secret", "beginning", "length"),
    [
        ("x", "ph_", 32),
        ("hunter_of_secrets", "ph_", 32),
        ("ghp_" + "a" * 36, "ghp_", 40),
        ("sk-ant-" + "b" * 100, "sk-ant-", 128),
        ("sk_live_" + "c" * 24, "sk_live_", 32),
        ("-----BEGIN KEY-----\n" * 100, "ph_", 128),
        ("github_pat_", "github_pat_", 40),
    ],
)
def test_a_placeholder(secret: str, beginning: str, length: int) -> None:
    made = [placeholder_for(secret) for _ in range(3)]
    assert len(set(made)) == 3
    for one in made:
        assert one.startswith(beginning)
        assert len(one) == length
        assert length in LENGTHS
        assert len(one) - len(beginning) >= RANDOM_MIN
        assert one.removeprefix(beginning).isalnum()


@pytest.mark.parametrize(
    ("hosts", "host", "allowed"),
    [
        (["api.test"], "api.test", True),
        (["API.test"], "api.test", True),
        (["api.test"], "www.api.test", False),
        (["*.api.test"], "www.api.test", True),
        (["*.api.test"], "api.test", False),
        (["*.api.test"], "evilapi.test", False),
        (["203.0.113.7"], "203.0.113.7", True),
    ],
)
def test_hosts_of_a_credential(hosts: list[str], host: str, allowed: bool) -> None:
    assert is_for({"type": "limited", "allowed_hosts": hosts}, host) == allowed
    assert is_for({"type": "unrestricted"}, host)
