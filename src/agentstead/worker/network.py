"""What a session's sandbox may reach: what its environment says, which stays as it was made with."""

from collections.abc import Mapping
from typing import Any

from agentstead.harness.state import State
from agentstead.sandbox.sandbox import Network
from agentstead.wire import agent as wire_agent

NO_NETWORK = "The sandbox has no network: connections fail, and downloads are not possible."
NETWORK = """\
The sandbox reaches the network through a proxy only, which the usual variables (HTTP_PROXY, \
HTTPS_PROXY) name: HTTP and HTTPS to {where}. Nothing else gets out, names are resolved by the proxy, \
and private addresses cannot be reached. What is not allowed is answered with status 403 and the \
reason; only who made this environment can change that."""
CREDENTIALS = """\
Credentials may be set as environment variables: use them by name, as $API_KEY. Their values are \
placeholders, which the proxy replaces by the secrets in HTTPS requests to the hosts that each is \
for, in headers or bodies but not in URLs. Nothing can be computed from a placeholder, such as a \
signature, and no secret can be seen in the sandbox."""
HOSTS_SHOWN = 20


def network_for(state: State, *, credentials: bool = False) -> Network:
    """The network of this session's sandbox; `credentials`: whether it has placeholders for some."""
    config = state.environment.get("config", {}).get("networking") or {}
    if config.get("type") != "limited":
        return Network(str(config.get("type", "none")), credentials=credentials)
    hosts = list(config["allowed_hosts"])
    if config["allow_mcp_servers"]:
        agents = [state.agent, *(thread.agent for thread in state.threads.values())]
        servers = [server for agent in agents for server in agent.get("mcp_servers") or ()]
        hosts += [host for one in servers if (host := wire_agent.host(one["url"])) is not None]
    return Network(
        "limited",
        tuple(dict.fromkeys(hosts)),
        package_managers=config["allow_package_managers"],
        credentials=credentials,
    )


def network_note(
    environment: Mapping[str, Any], *, networked: bool = True, vaults: bool = False
) -> str:
    """What the model is told of it.

    `networked`: whether sandboxes have a network at all; `vaults`: whether the session has some.
    """
    network = environment.get("config", {}).get("networking") or {}
    if not networked or network.get("type") not in ("limited", "unrestricted"):
        return NO_NETWORK
    where = _where(network)
    if where is None:
        return NO_NETWORK
    note = NETWORK.format(where=where)
    return f"{note}\n{CREDENTIALS}" if vaults else note


def _where(network: Mapping[str, Any]) -> str | None:
    """What an environment lets its sandboxes reach; None: nothing."""
    if network["type"] == "unrestricted":
        return "public hosts"
    hosts = list(network["allowed_hosts"])
    where = [", ".join(hosts[:HOSTS_SHOWN])] if hosts else []
    if len(hosts) > HOSTS_SHOWN:
        where.append(f"{len(hosts) - HOSTS_SHOWN} more")
    if network["allow_package_managers"]:
        where.append("the package indexes of pip, npm and the other package managers")
    if network["allow_mcp_servers"]:
        where.append("your MCP servers")
    return f"these hosts only: {', and '.join(where)}" if where else None
