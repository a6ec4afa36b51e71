"""What a session's sandbox reaches, and what its model is told of that."""

import pytest

from agentstead.harness.state import initial
from agentstead.sandbox.sandbox import Network
from agentstead.worker.network import NO_NETWORK, network_for, network_note


def network(**networking: object) -> dict[str, object]:
    return {"config": {"type": "cloud", "networking": networking}}


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        (network(type="unrestricted"), "HTTP and HTTPS to public hosts."),
        (
            network(type="limited", allowed_hosts=["a.example", "*.b.example"], allow_mcp_servers=True,
                    allow_package_managers=True),
            "HTTP and HTTPS to these hosts only: a.example, *.b.example, and the package indexes of pip, npm and"
            " the other package managers, and your MCP servers.",
        ),
        (
            network(type="limited", allowed_hosts=[f"h{n}.example" for n in range(22)], allow_mcp_servers=False,
                    allow_package_managers=False),
            "h19.example, and 2 more.",
        ),
        (
            network(type="limited", allowed_hosts=[], allow_mcp_servers=False, allow_package_managers=False),
            NO_NETWORK,
        ),
        ({"config": {"type": "self_hosted"}}, NO_NETWORK),
    ],
)  # fmt: skip
def test_the_model_is_told_what_network_it_has(environment: dict[str, object], said: str) -> None:
    assert said in network_note(environment)
    assert network_note(environment, networked=False) == NO_NETWORK


@pytest.mark.parametrize(
    ("environment", "reached"),
    [
        (network(type="unrestricted"), Network("unrestricted")),
        (
            network(type="limited", allowed_hosts=["a.example"], allow_mcp_servers=False, allow_package_managers=True),
            Network("limited", ("a.example",), package_managers=True),
        ),
        (
            network(type="limited", allowed_hosts=["a.example"], allow_mcp_servers=True, allow_package_managers=False),
            Network("limited", ("a.example", "mcp.example")),
        ),
        ({"config": {"type": "self_hosted"}}, Network()),
        ({}, Network()),
    ],
)  # fmt: skip
def test_what_a_sandbox_reaches(environment: dict[str, object], reached: Network) -> None:
    servers = [{"type": "url", "name": "x", "url": "https://MCP.example:443/sse"}]
    agent = {"name": "main", "tools": [], "mcp_servers": servers}
    state = initial(
        session_id="sesn_1",
        primary_id="sthr_1",
        agent=agent,
        environment=environment,
        created_at=0.0,
    )
    assert network_for(state) == reached
