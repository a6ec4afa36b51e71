"""Names of spares: sandboxes that were started before anybody needs them.

A spare belongs to the process that started it, which its name tells. It serves nobody before a
session takes it over, by a rename of its folder, and ends when its owner has gone.
"""

import os
from pathlib import Path

PREFIX = "spare-"


def name(number: int) -> str:
    """The name of one of ours."""
    return f"{PREFIX}{os.getpid()}-{_started(os.getpid())}-{number}"


def is_spare(sandbox_id: str) -> bool:
    """Whether nobody has taken it over."""
    return sandbox_id.startswith(PREFIX)


def owned(sandbox_id: str) -> bool:
    """Whether it is a spare whose owner lives."""
    if not is_spare(sandbox_id):
        return False
    pid, started, _ = sandbox_id.removeprefix(PREFIX).split("-")
    return _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process started: with its number it is one of a kind; empty when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""
