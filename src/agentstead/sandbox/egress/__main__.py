"""Starts the proxy of one sandbox: `python -I -S <this file>`, outside of the sandbox.

Descriptor 0 holds its configuration, 3 the socket that listens inside the sandbox, 4 the way to the
supervisor. Everything is imported before the user is dropped: afterwards nothing of ours can be
read by path. It ends with its supervisor.
"""

import asyncio
import concurrent.futures.thread
import ctypes
import encodings.idna
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[3]), *sys.argv[1:]]

from agentstead.sandbox.egress.conversation import Opener
from agentstead.sandbox.egress.dial import Dialer, Upstream
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.egress.meter import Meter
from agentstead.sandbox.egress.policy import policy_of
from agentstead.sandbox.egress.proxy import Bounds, Proxy
from agentstead.sandbox.egress.report import Report

LISTENER, CHANNEL = 3, 4
LOOK_UPS_MAX = 4
"""Names looked up at once."""
OPEN_FILES_MAX = 1024
Opening = Callable[[Report, socket.socket, Dialer, int], Opener]
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 1, 4, 38
__all__ = ["concurrent", "encodings"]
"""Looked for at run time by parts of the standard library."""


def drop(uid: int) -> None:
    """Become the sandbox's own user, once and for all."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES_MAX, OPEN_FILES_MAX))
    os.chdir("/")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if 0 in (os.geteuid(), os.getuid()):
        raise PermissionError("the proxy of a sandbox must not run as root")
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def opening(settings: dict[str, Any]) -> Opening | None:
    """How tunnels are opened, where the session may have credentials; before the user is dropped.

    Imported only then: it costs memory and a moment.
    """
    given = settings.get("edge")
    if given is None:
        return None
    from agentstead.sandbox.egress.authority import Authority, Made
    from agentstead.sandbox.egress.inner import Edge, trust
    from agentstead.sandbox.egress.keeper import Keeper

    authority = Authority(Made(given["certificate"], given["key"]))
    authority.context("localhost")  # has everything loaded that this needs
    trusted = trust(given["authorities"])

    def opener(report: Report, channel: socket.socket, dialer: Dialer, head_bytes: int) -> Opener:
        return Edge(authority, Keeper(report, channel), trusted, dialer, report.say, head_bytes)

    return opener


async def run(
    settings: dict[str, Any],
    opens: Opening | None,
    listener: socket.socket,
    channel: socket.socket,
) -> None:
    """Serve until there is nothing to do."""
    report = Report(channel)
    policy = policy_of(settings["policy"])
    upstream = Upstream.of(settings["upstream"]) if settings["upstream"] else None
    meter = Meter(settings["bytes_max"], settings["used"], settings["began"])
    asyncio.get_running_loop().set_default_executor(
        concurrent.futures.thread.ThreadPoolExecutor(LOOK_UPS_MAX)
    )
    bounds = Bounds.of(settings["bounds"])
    door = Door.of(settings["door"]) if settings.get("door") else None
    dialer = Dialer(policy, upstream, tls=door.context() if door else None)
    opener = opens and opens(report, channel, dialer, bounds.head_bytes_max)
    proxy = Proxy(policy, dialer, meter, report.say, bounds, opener, door)
    await proxy.serve(listener, report.flush)
    report.flush()
    os._exit(0)  # a name that is still looked up must not keep it


def main() -> None:
    """Run with the configuration on standard input; the arguments are folders of libraries."""
    settings = json.load(sys.stdin)
    opens = opening(settings)
    drop(settings["uid"])
    if os.getppid() != settings["parent"]:
        return  # it died before its death could end us
    listener, channel = socket.socket(fileno=LISTENER), socket.socket(fileno=CHANNEL)
    asyncio.run(run(settings, opens, listener, channel))


if __name__ == "__main__":
    main()
