"""The runner: one loop that takes calls from the supervisor and runs the tools.

bash runs in one persistent shell, one call at a time (the supervisor sees to
the order). When no process can be started any more, all others are ended and the model is told.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time

if __name__ == "__main__":
    sys.path.insert(0, "/run/agentstead")

from agentstead.sandbox.supervisor.frames import Frames, pack
from agentstead.sandbox.supervisor.runner import outlet, processes
from agentstead.sandbox.supervisor.runner.jobs import Jobs
from agentstead.sandbox.supervisor.runner.refusal import Refusal
from agentstead.sandbox.supervisor.runner.shell import Shell, environment, signal_name

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any

SHELL_LOST = "the next bash call gets a new shell: its directory, variables and background processes are gone"


class Runner:
    """All of it."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.frames = Frames()
        self.selector = selectors.DefaultSelector()
        self.killed = ""
        """Why everything was ended a moment ago; told with each call that this hit."""
        self.note = ""
        """What the next bash call has to be told first."""
        self.bash: dict[str, Any] | None = None
        self.bash_deadline = 0.0
        self.ending = ""
        first = self._receive_first()
        self.shell = Shell(self.selector, environment(first), first["output_bytes"])
        self.note = first["note"]
        processes.limit(first["processes_max"], first["memory_bytes"])
        self.refusal = None if first["network"] else Refusal(self.selector)
        forget = self.refusal.forget if self.refusal is not None else lambda: None
        self.jobs = Jobs(self.selector, channel, lambda: self.killed or self.ending, forget)
        self.selector.register(channel, selectors.EVENT_READ, self._receive)
        if first["network"] is True:
            outlet.hand_over(channel, pack({"ready": True}))
        else:
            self.channel.sendall(pack({"ready": True}))

    def run(self) -> None:
        """Serve until the supervisor goes."""
        while True:
            for key, _ in self.selector.select(self._patience()):
                # a callback before this one may have closed this one's descriptor
                if key.fd in self.selector.get_map():
                    key.data()
            self._expire(time.monotonic())

    def _receive_first(self) -> Any:
        # nothing else comes before we have answered this one
        while True:
            for message in self.frames.feed(self._data()):
                return message

    def _data(self) -> bytes:
        data = self.channel.recv(1 << 16)
        if not data:
            os._exit(0)
        return data

    def _receive(self) -> None:
        for message in self.frames.feed(self._data()):
            operation = message["op"]
            if operation == "run":
                self._begin(message)
            elif operation == "end":
                self._end(message["id"], message["why"])
            elif operation == "end_all":
                self._end_all(message["why"])

    def _begin(self, message: dict[str, Any]) -> None:
        try:
            self._start(message)
        except OSError:
            self._end_all("the limit of processes was reached, so all of them were ended")
            try:
                self._start(message)
            except OSError as error:
                self._answer(message["id"], f"{message['tool']}: cannot start: {error}", True)
        self.killed = ""

    def _start(self, message: dict[str, Any]) -> None:
        if message["tool"] == "bash":
            self._start_bash(message)
        else:
            self.jobs.begin(message)

    # --- bash

    def _start_bash(self, message: dict[str, Any]) -> None:
        given = message["input"]
        if given.get("restart"):
            self.shell.kill()
            self.shell.start()
            self.note = ""
            self._answer(message["id"], "bash session restarted", False)
            return
        if not isinstance(given.get("command"), str):
            text = "bash: the input is not valid: command must be a string"
            self._answer(message["id"], text, True)
            return
        if not self.shell.alive:
            self.shell.start()
        self.bash = message
        self.bash_deadline = time.monotonic() + message["seconds"]
        self.shell.run(given["command"], self._bash_done)

    def _bash_done(self, output: str, status: int | None) -> None:
        message, self.bash = self.bash, None
        assert message is not None
        parts = [self.note, output]
        self.note = ""
        if status is None and (self.ending or self.killed):
            parts.append(f"[{self.ending or self.killed}; {SHELL_LOST}]")
        elif status is None:
            parts.append(f"[the shell ended; {SHELL_LOST}]")
        elif status:
            name = signal_name(status)
            parts.append(f"[exit code {status}{f', {name}' if name else ''}]")
        self._answer(message["id"], "\n".join(filter(None, parts)) or "(no output)", status != 0)

    # --- ending things

    def _end(self, call_id: str, why: str) -> None:
        self.ending = why
        if self.bash is not None and self.bash["id"] == call_id:
            self.shell.kill()
            self.note = "[the call before this one was cancelled; this is a new shell]"
        self.jobs.end(call_id)
        self.ending = ""

    def _end_all(self, why: str) -> None:
        self.killed = why
        processes.kill_everything()
        if self.shell.alive:
            if self.bash is None:
                self.note = f"[{why}; this is a new shell]"
            self.shell.kill()
        self.jobs.drain()

    def _patience(self) -> float | None:
        deadlines = self.jobs.deadlines()
        if self.bash is not None:
            deadlines.append(self.bash_deadline)
        refusal = self.refusal.next_deadline() if self.refusal is not None else None
        if refusal is not None:
            deadlines.append(refusal)
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def _expire(self, now: float) -> None:
        if self.refusal is not None:
            self.refusal.expire(now)
        self.jobs.expire(now)
        if self.bash is not None and self.bash_deadline <= now:
            seconds = f"{self.bash['seconds']:g}"
            self.ending = f"the command timed out after {seconds} s and was ended"
            self.shell.kill()
            self.ending = ""

    def _answer(self, call_id: str, text: str, failed: bool) -> None:
        content = [{"type": "text", "text": text}]
        self.channel.sendall(pack({"id": call_id, "content": content, "is_error": failed}))


def main() -> None:
    """Run with the number of the channel's descriptor as the only argument."""
    processes.hide()
    os.umask(0o022)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    Runner(channel).run()


if __name__ == "__main__":
    main()
