"""What the egress proxies of this host decided, taken from where their supervisors leave it.

Each file is taken by one process, which renames it first; one that dies in between leaves it to
whoever looks a minute later.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.sandbox.supervisor.spool import FOLDER, READY

TAKEN = ".taken"
ABANDONED_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision, and how often it was made in a moment."""

    session_id: str
    call_id: str
    """The tool call during which it was made; empty: a background process between two calls."""
    decision: str
    """allowed | denied | failed (allowed, and could not be reached)"""
    reason: str
    method: str
    host: str
    port: int
    address: str | None
    count: int
    credentials: str | None = None
    """The variables of the credentials whose secrets went out with it, e.g. `API_KEY,OTHER`."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes that went through, and decisions too many to be told one by one."""

    session_id: str
    sent: int
    received: int
    lost: int


def take(root: Path, clock: Clock) -> Iterator[Decision | Traffic]:
    """Take what lies there; `root` is the folder of sandboxes."""
    folder = root / FOLDER
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return
    for file in files:
        if file.suffix not in (READY, TAKEN):
            continue
        taken = file.with_suffix(TAKEN)
        try:
            if file == taken and clock.now() - file.stat().st_mtime < ABANDONED_SECONDS:
                continue
            file.rename(taken)
            text = taken.read_text()
        except FileNotFoundError:
            continue  # another process was quicker
        yield from _read(file.name.partition(".")[0], text)
        taken.unlink(missing_ok=True)


def _read(session_id: str, text: str) -> Iterator[Decision | Traffic]:
    for line in text.splitlines():
        record: dict[str, Any] = json.loads(line)
        if "decision" in record:
            yield Decision(session_id, **record)
        else:
            yield Traffic(session_id, **record)
