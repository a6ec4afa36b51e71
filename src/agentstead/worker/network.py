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
HOSTS_SHOWN = 20


def network_for(state: State) -> Network:
    """The network of this session's sandbox."""
    config = state.environment.get("config", {}).get("networking") or {}
    if config.get("type") != "limited":
        return Network(str(config.get("type", "none")))
    hosts = list(config["allowed_hosts"])
    if config["allow_mcp_servers"]:
        agents = [state.agent, *(thread.agent for thread in state.threads.values())]
        servers = [server for agent in agents for server in agent.get("mcp_servers") or ()]
        hosts += [wire_agent.host(server["url"]) for server in servers]
    return Network(
        "limited", tuple(dict.fromkeys(hosts)), package_managers=config["allow_package_managers"]
    )


def network_note(environment: Mapping[str, Any], *, networked: bool = True) -> str:
    """What the model is told of it; `networked`: whether sandboxes have a network at all."""
    network = environment.get("config", {}).get("networking") or {}
    if not networked or network.get("type") not in ("limited", "unrestricted"):
        return NO_NETWORK
    if network["type"] == "unrestricted":
        return NETWORK.format(where="public hosts")
    hosts = list(network["allowed_hosts"])
    where = [", ".join(hosts[:HOSTS_SHOWN])] if hosts else []
    if len(hosts) > HOSTS_SHOWN:
        where.append(f"{len(hosts) - HOSTS_SHOWN} more")
    if network["allow_package_managers"]:
        where.append("the package indexes of pip, npm and the other package managers")
    if network["allow_mcp_servers"]:
        where.append("your MCP servers")
    if not where:
        return NO_NETWORK
    return NETWORK.format(where=f"these hosts only: {', and '.join(where)}")
