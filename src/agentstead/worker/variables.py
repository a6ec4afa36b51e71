"""The credentials of a session that programs in its sandbox use: what stands for them, and which of them
its environment's network makes useless, which is told once, before the model's first answer."""

from collections.abc import Mapping, Sequence

from agentstead.addresses import listed
from agentstead.harness.state import State
from agentstead.harness.thread import Thread
from agentstead.sandbox.desk import Variable
from agentstead.wire.events.stored import Draft
from agentstead.worker.network import network_for
from agentstead.worker.world import World


async def variables_for(world: World, state: State) -> Mapping[str, str]:
    """What stands for secrets in the sandbox; there from its start on."""
    return await world.variables.placeholders(state.session_id) if state.vaults else {}


async def cut_off(world: World, state: State, thread: Thread) -> list[Draft]:
    """`session.error` for each credential that names a host which sandboxes of this session do not reach."""
    if not state.vaults or state.usage is not None:
        return []
    network = network_for(state)
    if network.mode != "limited" or network.package_managers:
        return []  # whose hosts are known to the machine that a sandbox is on
    found = []
    for variable in await world.variables.named(state.session_id):
        key = f"credential {variable.credential_id}"
        hosts = [host for host in variable.hosts if not permitted(network.hosts, host)]
        if hosts and key not in state.told:
            found.append(_unreachable(thread, variable, hosts, key))
    return found


def permitted(allowed: Sequence[str], host: str) -> bool:
    """Whether a list of hosts has one of a credential, or some of those below it."""
    host = host.lower()
    if not host.startswith("*."):
        return listed(allowed, host)
    return listed(allowed, f"any{host[1:]}") or any(listed([host], one.lower()) for one in allowed)


def _unreachable(thread: Thread, variable: Variable, hosts: Sequence[str], key: str) -> Draft:
    error = {
        "type": "credential_host_unreachable_error",
        "credential_id": variable.credential_id,
        "vault_id": variable.vault_id,
        "message": (
            f"The credential {variable.name} is for {', '.join(hosts)}, which the environment's"
            " networking does not allow: programs in the sandbox cannot reach it. List it in"
            " networking.allowed_hosts for new sessions."
        ),
        "retry_status": {"type": "retrying"},
    }
    return Draft("session.error", thread.id, {"error": error}, {"told": key})
