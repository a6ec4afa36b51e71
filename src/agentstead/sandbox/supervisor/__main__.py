"""Starts supervisors: `python -I -S <this file> <descriptor> <worker>`, as `forks.py` says.

The worker reads one line from each: whether the sandbox runs, or why it does not. A supervisor is in
a session of its own and goes on when the worker is killed.
"""

import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agentstead.sandbox.supervisor import forks, limits, uids, userns
from agentstead.sandbox.supervisor.begin import CannotStart, begin
from agentstead.sandbox.supervisor.control import Supervisor
from agentstead.sandbox.supervisor.launch import launch
from agentstead.sandbox.supervisor.place import UIDS, Place
from agentstead.sandbox.supervisor.rootfs import BadMount


def main() -> None:
    """Start supervisors for a worker."""
    channel, worker = map(int, sys.argv[1:])
    forks.serve(socket.socket(fileno=channel), worker, supervise)


def supervise(config: dict[str, Any]) -> None:
    """Start a sandbox and serve until its end; in a process made for it."""
    # some event loops let a child inherit more than its three streams
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.setsid()
    os.umask(0o022)
    os.chdir("/")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    place = Place(Path(config["root"]), config["sandbox_id"])
    place.make()
    lock = place.lock()
    if lock is None:
        report({"ok": True, "other": True})
        return
    try:
        supervisor = start(place, config)
    except (CannotStart, BadMount, uids.NoUserLeft, userns.NoRange, OSError) as error:
        report({"ok": False, "error": str(error)})
        return
    try:
        log_to(place.path / "log")
        meta = place.meta()
        supervisor.serve(lambda: report({"ok": True, "limits": supervisor.control.kind}))
    finally:
        supervisor.end()
    if not place.path.is_dir():
        # deleted without us: nobody else will give its user back
        uids.give_back(place.root / UIDS, meta["uid"], meta["born"])


def start(place: Place, config: dict[str, Any]) -> Supervisor:
    """A running sandbox."""
    meta = place.meta()
    installing = bool(config.get("installing"))
    uid = userns.FIRST if installing else meta.get("uid") or own_uid(place)
    place.make_files(uid)
    if installing:
        place.make_layer(uid)
    born = meta.get("born", place.sandbox_id)
    # one that was a spare keeps its groups when it is started again
    control = limits.control(Place(place.root, born).host_name, config["limits"])
    if config.get("require_cgroups") and not control.groups:
        raise CannotStart("no control group can be made for it, and they are required")
    groups = [str(folder) for folder in set(control.groups.values())]
    try:
        # on the disk with what is written once bubblewrap works; whoever kills us now leaves it readable
        place.write_meta(durable=False, uid=uid, groups=groups, born=born)
        launched = launch(place, config, uid, control)
    except BaseException:
        control.remove()  # destroyed meanwhile, for example: nobody else knows of them
        raise
    supervisor = begin(place, config, launched, control)
    if host_uid(supervisor.inside.pid) == 0:
        supervisor.end()
        raise CannotStart("it would run as the host's root")
    return supervisor


def own_uid(place: Place) -> int:
    """The host user of a new sandbox."""
    uid = os.geteuid()
    return uids.take(place.root / UIDS, place.sandbox_id) if uid == 0 else uid


def host_uid(pid: int) -> int:
    """Whom the host takes a process for."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("Uid:"):
            return int(line.split()[1])
    return 0


def report(message: dict[str, Any]) -> None:
    """One line to the parent, the only one."""
    try:
        os.write(1, json.dumps(message).encode() + b"\n")
    except OSError:
        pass  # the parent was killed; the sandbox is there for the next one
    null = os.open("/dev/null", os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)


def log_to(file: Path) -> None:
    """Let what goes wrong from here on be read in a file, of the latest start only."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(descriptor, 2)
    os.close(descriptor)


if __name__ == "__main__":
    main()
