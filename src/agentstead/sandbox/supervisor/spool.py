"""What the egress proxy decided, on its way to the platform's log: small files that a process of the
platform takes away (`sandbox/decisions.py`). They survive the worker, and the sandbox.

What is alike within one file is counted, and a folder nobody empties stops growing: what is left out
is counted too.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

FOLDER = ".egress"
READY = ".jsonl"
KINDS_MAX = 200
"""Different decisions in one file."""
FILES_MAX = 1000
"""Waiting for one host's platform to take them away."""
KEPT = ("decision", "reason", "method", "host", "port", "address", "credentials")


class Spool:
    """The decisions of one sandbox that nobody has taken away."""

    def __init__(self, root: Path, sandbox_id: str) -> None:
        self._folder = root / FOLDER
        self._sandbox_id = sandbox_id
        self._kinds: dict[tuple[Any, ...], int] = {}
        self._sent = self._received = self._lost = 0
        self._number = 0

    def add(self, record: dict[str, Any], call_id: str) -> None:
        """Note one record of the proxy; `call_id` is the tool call during which it came."""
        if "decision" in record:
            kind = (call_id, *(record.get(name) for name in KEPT))
            if kind in self._kinds or len(self._kinds) < KINDS_MAX:
                self._kinds[kind] = self._kinds.get(kind, 0) + 1
            else:
                self._lost += 1
        elif "sent" in record:
            self._sent += record["sent"]
            self._received += record["received"]
        elif "lost" in record:
            self._lost += record["lost"]

    def write(self) -> None:
        """Hand over what there is."""
        if not (self._kinds or self._sent or self._received or self._lost):
            return
        lines = [
            json.dumps({"call_id": call_id, **dict(zip(KEPT, rest, strict=True)), "count": count})
            for (call_id, *rest), count in self._kinds.items()
        ]
        totals = {"sent": self._sent, "received": self._received, "lost": self._lost}
        if any(totals.values()):
            lines.append(json.dumps(totals))
        try:
            self._write("\n".join(lines))
        except OSError:
            self._lost += sum(self._kinds.values())
            self._kinds.clear()
            return
        self._kinds.clear()
        self._sent = self._received = self._lost = 0

    def _write(self, text: str) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if len(os.listdir(self._folder)) >= FILES_MAX:
            raise OSError("nobody takes the decisions away")
        self._number += 1
        name = f"{self._sandbox_id}.{time.time_ns()}.{self._number}"
        fresh = self._folder / f"{name}.new"
        fresh.write_text(text)
        fresh.rename(fresh.with_suffix(READY))
