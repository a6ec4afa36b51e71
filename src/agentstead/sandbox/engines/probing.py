"""Looks whether an engine's sandboxes can run and hold: by asking the engine, and by starting one."""

import json
import os
from collections.abc import Sequence

from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.engine import Engine, EngineFault, Found
from agentstead.sandbox.probing import BEGIN, INTERFACES, SAY
from agentstead.sandbox.sandbox import Limits, Probe, Sandbox, SandboxSpec

STATE_CHECKS = r"""
for path in ("/agentstead/PROBE", "/agentstead/PROBE/journal", "/agentstead-meet/runner.sock"):
    try:
        os.listdir(path)
        bad.append("the agent can read the supervisor's folder " + path)
    except OSError:
        pass
"""
CLOSED = r"""
for address in ADDRESSES:
    try:
        socket.create_connection(address, 2).close()
        bad.append("the network is open: %s:%d can be reached" % address)
    except OSError:
        pass
"""
REMEDIES = (
    (("no such image", "cannot get the image", "pull"), "Name an image that the engine has or can fetch, with python3 3.11 or newer and bash in it (AGENTSTEAD_CONTAINER_IMAGE)."),
    (("python3", "/bin/bash"), "The image needs python3 3.11 or newer on its PATH, and /bin/bash (AGENTSTEAD_CONTAINER_IMAGE)."),
    (("cluster",), "Correct the kubeconfig or AGENTSTEAD_KUBERNETES_CONTEXT, or run the server in the cluster with a service account."),
    (("cannot be reached", "permission denied"), "Start the engine, or correct its address (AGENTSTEAD_DOCKER_HOST); this user must be allowed to use it."),
)  # fmt: skip


async def examine(sandbox: Sandbox, engine: Engine) -> Probe:
    """Ask, start one, run the checks in it, destroy it."""
    try:
        found = await engine.look()
    except EngineFault as fault:
        said = (fault.message, *remedies(fault.message))
        return Probe(False, engine.name, "unknown", "unknown", problems=said)
    problems = list(found.problems)
    if not problems:
        problems = await _tried(sandbox, found.closed)
    return _probe(engine, found, problems)


def _probe(engine: Engine, found: Found, problems: list[str]) -> Probe:
    notes = () if problems else found.notes
    return Probe(not problems, engine.name, found.mode, found.limits, problems=(*problems, *notes))


async def _tried(sandbox: Sandbox, closed: Sequence[tuple[str, int]] | None) -> list[str]:
    probe_id = f"probe-{os.getpid()}-{id(sandbox):x}"
    network = INTERFACES if closed is None else CLOSED.replace("ADDRESSES", repr(tuple(closed)))
    checks = BEGIN + network + STATE_CHECKS.replace("PROBE", probe_id) + SAY
    command = f"python3 -I -S - <<'END_OF_CHECKS'\n{checks}\nEND_OF_CHECKS"
    spec = SandboxSpec(Limits(call_seconds=20.0))
    try:
        outcome = await sandbox.call(probe_id, spec, "probe", "bash", {"command": command})
        text = str(outcome.content[0].get("text", ""))
        if outcome.is_error:
            return [f"The checks inside the sandbox failed: {text}"]
        return [f"A sandbox does not hold here: {item}." for item in json.loads(text)]
    except SandboxFault as fault:
        return [fault.message, *remedies(fault.message)]
    finally:
        await _destroyed(sandbox, probe_id)


async def _destroyed(sandbox: Sandbox, probe_id: str) -> None:
    try:
        await sandbox.destroy(probe_id)
    except SandboxFault:
        return  # what hinders it is among the problems already


def remedies(message: str) -> list[str]:
    """What to do about it."""
    text = message.lower()
    return [advice for words, advice in REMEDIES if any(word in text for word in words)][:1]
