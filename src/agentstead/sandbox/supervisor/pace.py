"""Keeps what one sandbox writes from standing in the way of everybody else who needs the disk.

Written pages pile up in memory and go to the disk all at once when memory runs short; whoever waits
for that disk then, a neighbour's journal or the database, waits for all of it. So a sandbox that has
much ready to be written stands still while it is written, and as long as its share of the disk lasts.
Short bursts are not slowed down. Needs a control group that can be frozen; without one nothing is paced.
"""

import ctypes
import os
import threading
import time

from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.place import Place

BACKLOG_BYTES = 32 << 20
"""So much may wait for the disk."""
BYTES_PER_SECOND = 64 << 20
"""A sandbox's share of the disk once it has more than that."""
STILL_SECONDS_MAX = 3.0
"""A sandbox that stands still longer seems stuck to those who wait for its calls."""
LOOK_SECONDS = 0.05
REST_SECONDS = 0.25
"""Between two looks at a sandbox that has not written much lately."""
ALERT_SECONDS = 3.0


class Pace:
    """One sandbox's writing; part of the supervisor's loop."""

    def __init__(self, place: Place, control: Control) -> None:
        self._folder = place.files
        self._control = control
        self._still_since: float | None = None
        self._go_on_at = 0.0
        self._alert_until = 0.0
        self._looked = 0.0
        self._writing: threading.Thread | None = None

    @property
    def alert(self) -> bool:
        """Whether it writes, or did a moment ago, so much that one has to look often."""
        return self._still_since is not None or time.monotonic() < self._alert_until

    @property
    def patience(self) -> float:
        """In how many seconds `look` wants to be called again."""
        return LOOK_SECONDS if self.alert else REST_SECONDS

    def look(self) -> None:
        """Stop it, or let it go on."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._still_since is not None:
            written = self._writing is None or not self._writing.is_alive()
            still = now - self._still_since
            if (written and now >= self._go_on_at) or still > STILL_SECONDS_MAX:
                self.go_on()
            return
        waiting = self._control.waiting_bytes()
        if waiting > BACKLOG_BYTES and self._control.freeze():
            self._still_since = now
            self._go_on_at = now + min(waiting / BYTES_PER_SECOND, STILL_SECONDS_MAX)
            self._write()

    def go_on(self) -> None:
        """Let it go on now."""
        if self._still_since is not None:
            self._still_since = None
            self._alert_until = time.monotonic() + ALERT_SECONDS
            self._control.thaw()

    def _write(self) -> None:
        # what waits would else lie there for half a minute
        if self._writing is not None and self._writing.is_alive():
            return
        writing = threading.Thread(target=self._write_now, daemon=True)
        try:
            writing.start()
        except RuntimeError:
            return  # no thread can be started now: it stands still for its time all the same
        self._writing = writing

    def _write_now(self) -> None:
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            ctypes.CDLL(None).syncfs(descriptor)
        finally:
            os.close(descriptor)
