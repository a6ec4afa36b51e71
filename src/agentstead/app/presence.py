"""What a server leaves in its data directory so that commands on the machine find it.

`serve.json` holds its address and process id while it runs; `local-key` the key made at the first
start. Both are readable by their owner only.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from agentstead.store.data_dir import write_private
from agentstead.store.postmaster import exists

PRESENCE_FILE = "serve.json"
KEY_FILE = "local-key"


@dataclass(frozen=True, slots=True)
class Presence:
    """A server that runs on this data directory."""

    url: str
    pid: int


def announce_presence(data_dir: Path, url: str) -> None:
    """Say that this process serves the data directory."""
    write_private(data_dir / PRESENCE_FILE, json.dumps({"url": url, "pid": os.getpid()}) + "\n")


def withdraw_presence(data_dir: Path) -> None:
    """Take it back, unless another process has said so since."""
    found = parse(data_dir / PRESENCE_FILE)
    if found is not None and found.pid == os.getpid():
        (data_dir / PRESENCE_FILE).unlink(missing_ok=True)


def read_presence(data_dir: Path) -> Presence | None:
    """The server on this data directory, None when none is alive."""
    found = parse(data_dir / PRESENCE_FILE)
    return found if found is not None and exists(found.pid) else None


def parse(path: Path) -> Presence | None:
    """What the file says; None when it is missing or damaged."""
    try:
        said = json.loads(path.read_text())
        return Presence(str(said["url"]), int(said["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
