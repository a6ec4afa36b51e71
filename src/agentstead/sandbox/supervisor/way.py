"""The way from a sandbox's egress proxy to a process of the platform that may open secrets.

Every such process listens in one folder, private to the platform's user. The proxy has another user
and no path there: we connect, say whose proxy it is, and hand the connection on without reading.
"""

import json
import os
import socket
from pathlib import Path

FOLDER = ".desks"
SUFFIX = ".sock"
CONNECT_SECONDS = 1.0


def way_to_platform(root: Path, sandbox_id: str) -> socket.socket | None:
    """A connection to a process that lives, for this sandbox's credentials only; `root`: of sandboxes."""
    try:
        folder = os.open(root / FOLDER, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        names = [name for name in os.listdir(root / FOLDER) if name.endswith(SUFFIX)]
        for name in sorted(names, reverse=True):
            way = socket.socket(socket.AF_UNIX)
            way.settimeout(CONNECT_SECONDS)
            try:
                # the folder's path may be longer than a socket's address can be
                way.connect(f"/proc/self/fd/{folder}/{name}")
                way.sendall(json.dumps({"sandbox_id": sandbox_id}).encode() + b"\n")
            except ConnectionRefusedError:
                way.close()
                (root / FOLDER / name).unlink(missing_ok=True)  # it was killed
            except OSError:
                way.close()
            else:
                way.setblocking(False)
                return way
        return None
    finally:
        os.close(folder)
