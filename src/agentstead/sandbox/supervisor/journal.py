"""Which calls were started and how they ended: what makes a call happen once.

One file per call id, created exclusively: whoever creates it may run the call. Its first line says
`started` or `cancelled`, its second line how the call ended. `started` without an end, when no
supervisor runs it, means that nobody knows: such a call is reported and never run again.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLAIN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")


@dataclass(frozen=True)
class Record:
    """What the journal knows of a call."""

    state: str
    """started | done | cancelled"""
    outcome: Any = None


class Journal:
    """The journal of one sandbox, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def start(self, call_id: str, tool: str) -> bool:
        """Take the right to run this call; False when the id is known already."""
        return self._create(call_id, {"state": "started", "id": call_id, "tool": tool})

    def refuse(self, call_id: str) -> bool:
        """Make sure that a call which has not begun never will; False when the id is known already."""
        return self._create(call_id, {"state": "cancelled", "id": call_id})

    def finish(self, call_id: str, outcome: Any) -> None:
        """Write down how a started call ended."""
        descriptor = os.open(self._file(call_id), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            _write(descriptor, {"state": "done", "outcome": outcome})
        finally:
            os.close(descriptor)

    def read(self, call_id: str) -> Record | None:
        """What is known of a call; None when nothing is."""
        try:
            text = self._file(call_id).read_bytes()
        except FileNotFoundError:
            return None
        record = Record("started")
        # a line cut off by a crash does not count
        for line in text.split(b"\n")[:-1]:
            entry = json.loads(line)
            record = Record(entry["state"], entry.get("outcome"))
        return record

    def _create(self, call_id: str, entry: Any) -> bool:
        try:
            descriptor = os.open(
                self._file(call_id), os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600
            )
        except FileExistsError:
            return False
        try:
            _write(descriptor, entry)
        except OSError:
            # not on disk, so nothing may be run under this id; another attempt may
            self._file(call_id).unlink()
            raise
        finally:
            os.close(descriptor)
        return True

    def _file(self, call_id: str) -> Path:
        if PLAIN_ID.fullmatch(call_id):
            return self.folder / f"{call_id}.json"
        return self.folder / f"-{hashlib.sha256(call_id.encode()).hexdigest()}.json"


def _write(descriptor: int, entry: Any) -> None:
    data = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)
