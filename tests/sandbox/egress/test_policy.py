"""Which hosts, ports and addresses a sandbox may reach, and what it is told otherwise."""

import pytest

from agentstead.addresses import opening
from agentstead.sandbox.egress.policy import Policy, policy_of

LIMITED = Policy("limited", ("api.example", "*.cdn.example"))


@pytest.mark.parametrize("host", ["api.example", "a.cdn.example", "a.b.cdn.example"])
def test_listed_hosts_are_allowed(host: str) -> None:
    assert LIMITED.denial(host, 443) is None
    assert LIMITED.denial(host, 80) is None


@pytest.mark.parametrize(
    "host",
    ["example", "x.api.example", "api.example.evil", "cdn.example", "xcdn.example", "1.1.1.1", "::1"],
)  # fmt: skip
def test_other_hosts_are_not(host: str) -> None:
    denial = LIMITED.denial(host, 443)
    assert denial is not None
    assert (denial.reason, denial.status) == ("host", 403)
    assert host in denial.sentence
    assert "api.example, *.cdn.example" in denial.sentence
    assert "networking.allowed_hosts" in denial.sentence


def test_a_long_list_is_cut_and_an_empty_one_said() -> None:
    many = Policy("limited", tuple(f"h{n}.example" for n in range(20)))
    denial, none = many.denial("x", 443), Policy("limited").denial("x", 443)
    assert denial is not None
    assert none is not None
    assert "h11.example and 8 more." in denial.sentence
    assert "environment: none." in none.sentence


def test_without_a_list_every_name_is_allowed_but_the_operators() -> None:
    free = Policy(denied=("bad.example", "*.bad.example"))
    assert free.denial("any.example", 443) is None
    for host in ("bad.example", "x.bad.example"):
        denial = free.denial(host, 443)
        assert denial is not None
        assert denial.reason == "closed"
    closed = Policy("limited", ("bad.example",), denied=("bad.example",)).denial("bad.example", 443)
    assert closed is not None
    assert closed.reason == "closed"


def test_ports() -> None:
    free = Policy(ports=(80, 443, 8443), openings=(opening("10.0.0.0/8:5432"),))
    assert free.denial("a.example", 8443) is None
    denial = free.denial("a.example", 22)
    assert denial is not None
    assert denial.reason == "port"
    assert "80, 443, 8443" in denial.sentence
    # an opening's own port is for its addresses only
    assert free.denial("a.example", 5432) is None
    assert free.address_denial("a.example", 5432, "10.1.1.1") is None
    away = free.address_denial("a.example", 5432, "9.9.9.9")
    assert away is not None
    assert away.reason == "port"
    near = free.address_denial("a.example", 443, "10.1.1.1")
    assert near is not None
    assert near.reason == "address"


def test_addresses() -> None:
    free = Policy(openings=(opening("10.1.0.0/16"), opening("9.9.9.9")))
    assert free.address_denial("a.example", 443, "8.8.8.8") is None
    assert free.address_denial("a.example", 443, "10.1.2.3") is None
    assert free.address_denial("a.example", 443, "::ffff:10.1.2.3") is None
    denial = free.address_denial("a.example", 443, "10.2.0.1")
    assert denial is not None
    assert "a.example leads to an address that is not public (private)" in denial.sentence
    literal = free.address_denial("10.2.0.1", 443, "10.2.0.1")
    assert literal is not None
    assert "10.2.0.1 is an address" in literal.sentence
    assert free.address_denial("a.example", 443, "8.8.8.8", own=True) is not None
    assert free.address_denial("a.example", 443, "9.9.9.9", own=True) is None
    assert free.opened("10.1.0.1", 443)
    assert not free.opened("8.8.8.8", 443)


def test_a_policy_is_read_from_a_configuration() -> None:
    config = {
        "mode": "limited",
        "hosts": ["a.example"],
        "denied": [],
        "ports": [443],
        "openings": ["127.0.0.1:9000"],
        "names": {"A.example.": "127.0.0.1"},
    }
    policy = policy_of(config)
    assert policy.limited
    assert policy.names == {"a.example": "127.0.0.1"}
    assert policy.openings == (opening("127.0.0.1:9000"),)
