"""The persistent shell, inside: one bash whose directory and variables survive from call to call.

A command is handed over on the shell's standard input as `eval '…'`; its exit status comes back on
a descriptor of its own, so nothing that the command prints can be mistaken for it, and an unclosed
quote is an error of the command, not a shell that waits for ever. What background processes print
is shown with the next call.
"""

from __future__ import annotations

import os
import re
import selectors
import signal
import time
from collections.abc import Callable

from agentstead.sandbox.supervisor.runner import processes

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any

OUT, STATUS = 198, 199
"""Descriptors of the shell that commands do not get: where output goes, where the status goes."""
TERMINAL_CODES = re.compile(
    rb"\x1b(?:\[[0-9;?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[()][A-Za-z0-9]|[=>78cDEHM])"
)
READ_BYTES = 65536
Done = Callable[[str, "int | None"], None]
"""Called with the output and the exit status; None: the shell itself ended."""


class Shell:
    """A bash and the command it runs, if any; part of the runner's loop."""

    def __init__(
        self, selector: selectors.BaseSelector, env: dict[str, str], output_bytes: int
    ) -> None:
        self._selector = selector
        self._env = env
        self._output_bytes = output_bytes
        self._pid = 0
        self._stdin = self._out = self._status = -1
        self._to_send = b""
        self._output = bytearray()
        self._cut = 0
        self._line = b""
        self._done: Done | None = None

    @property
    def alive(self) -> bool:
        """Whether there is a shell."""
        return self._pid != 0

    def start(self) -> None:
        """Start the shell; OSError when no process can be started."""
        command_in, self._stdin = os.pipe()
        self._out, output = os.pipe()
        self._status, status = os.pipe()
        try:
            self._pid = os.fork()
        except OSError:
            for descriptor in (command_in, self._stdin, self._out, output, self._status, status):
                os.close(descriptor)
            self._stdin = self._out = self._status = -1
            raise
        if self._pid == 0:
            self._become_bash(command_in, output, status)
        for descriptor in (command_in, output, status):
            os.close(descriptor)
        for descriptor, callback in ((self._out, self._read), (self._status, self._read_status)):
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ, callback)
        os.set_blocking(self._stdin, False)

    def run(self, command: str, done: Done) -> None:
        """Run one command; the shell must be alive and have none."""
        self._done = done
        quoted = "'" + command.replace("'", "'\\''") + "'"
        text = f"eval {quoted} </dev/null >&{OUT} 2>&{OUT} {OUT}>&- {STATUS}>&-; printf '%d\\n' $? >&{STATUS}\n"
        self._to_send = text.encode("utf-8", "replace")
        self._send()

    def kill(self) -> None:
        """End the shell and everything it started; a command that runs is done with what it printed."""
        if not self._pid:
            return
        processes.kill_session(self._pid)
        self._ended()

    def _become_bash(self, command_in: int, output: int, status: int) -> None:
        try:
            os.setsid()
            for source, target in ((output, OUT), (status, STATUS), (command_in, 0)):
                os.dup2(source, target, inheritable=True)
            os.dup2(OUT, 1)
            os.dup2(OUT, 2)
            processes.become_tool()
            os.chdir(self._env.get("HOME", "/"))
            os.execve("/bin/bash", ["bash", "--noprofile", "--norc"], self._env)
        finally:
            os._exit(127)

    def _send(self) -> None:
        try:
            while self._to_send:
                self._to_send = self._to_send[os.write(self._stdin, self._to_send) :]
        except BlockingIOError:
            self._watch_stdin(True)
            return
        except OSError:
            pass  # the shell is gone; its status pipe says so
        self._watch_stdin(False)

    def _watch_stdin(self, wanted: bool) -> None:
        watched = self._stdin in self._selector.get_map()
        if wanted and not watched:
            self._selector.register(self._stdin, selectors.EVENT_WRITE, self._send)
        elif watched and not wanted:
            self._selector.unregister(self._stdin)

    def _read(self) -> bool:
        try:
            data = os.read(self._out, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            if self._out in self._selector.get_map():
                self._selector.unregister(self._out)
            return False
        self._output += data
        # twice the limit may pile up before the front is cut off, which keeps the cutting cheap
        if len(self._output) > 2 * self._output_bytes:
            self._cut_front()
        return True

    def _cut_front(self) -> None:
        surplus = len(self._output) - self._output_bytes
        if surplus > 0:
            del self._output[:surplus]
            self._cut += surplus

    def _read_status(self) -> None:
        try:
            data = os.read(self._status, 64)
        except BlockingIOError:
            return
        if not data:
            self._ended()
            return
        self._line += data
        if b"\n" in self._line and self._done is not None:
            text, self._line = self._line, b""
            self._finish(int(text.split(b"\n")[0] or b"1"))

    def _ended(self) -> None:
        pid, self._pid = self._pid, 0
        self._to_send = b""
        self._watch_stdin(False)
        processes.kill_session(pid)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
        if self._done is not None:
            self._finish(None)
        for descriptor in (self._out, self._status):
            if descriptor in self._selector.get_map():
                self._selector.unregister(descriptor)
        for descriptor in (self._stdin, self._out, self._status):
            os.close(descriptor)
        self._stdin = self._out = self._status = -1
        self._line = b""

    def _finish(self, status: int | None) -> None:
        # everything that was printed before the status is in the pipe by now; a background process
        # that keeps printing must not hold us here
        until = time.monotonic() + 0.5
        while time.monotonic() < until and self._read():
            pass
        self._cut_front()
        text, cut = clean(bytes(self._output)), self._cut
        self._output.clear()
        self._cut = 0
        if cut:
            text = f"[output truncated: {cut} earlier bytes left out]\n{text}"
        done, self._done = self._done, None
        if done is not None:
            done(text.rstrip("\n"), status)


def clean(output: bytes) -> str:
    """Printed bytes as text: without a terminal's control codes, never invalid."""
    text = TERMINAL_CODES.sub(b"", output).decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\0", "\N{REPLACEMENT CHARACTER}")


def signal_name(status: int) -> str:
    """`SIGKILL` for 137, else nothing."""
    try:
        return signal.Signals(status - 128).name if status > 128 else ""
    except ValueError:
        return ""


def environment(first: dict[str, Any]) -> dict[str, str]:
    """What the tools' processes get to see (`variables.py` says what is told)."""
    env = dict(first["always"])
    for choices in first["first_there"]:
        env.update(next((given for path, given in choices if os.path.exists(path)), {}))
    env.update(first["env"])
    return env
