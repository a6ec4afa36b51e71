"""File and search tools at work: each call in a forked child, so that none can stop another or the loop."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

from agentstead.sandbox.supervisor.frames import pack
from agentstead.sandbox.supervisor.runner import files, processes, search

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any

VERBS: dict[str, Callable[[dict[str, Any]], list[dict[str, Any]]]] = {
    "read": files.read,
    "write": files.write,
    "edit": files.edit,
    "glob": search.glob,
    "grep": search.grep,
}


class Job:
    """One call in its child."""

    def __init__(self, call_id: str, tool: str, pid: int, pipe: int, deadline: float) -> None:
        self.call_id, self.tool, self.pid, self.pipe = call_id, tool, pid, pipe
        self.deadline = deadline
        self.data = bytearray()
        self.late = False


class Jobs:
    """All of them; part of a loop. Answers go to the channel."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        channel: socket.socket,
        why: Callable[[], str] = lambda: "",
        forget: Callable[[], None] = lambda: None,
    ) -> None:
        self._selector = selector
        self._channel = channel
        self._why = why
        """Why children are ended at the moment; empty when they are not."""
        self._forget = forget
        """In a child: lets go of what is not its own."""
        self._jobs: dict[int, Job] = {}

    def begin(self, message: dict[str, Any]) -> None:
        """Begin a call; OSError when no process can be started."""
        pipe, child_pipe = os.pipe()
        try:
            pid = os.fork()
        except OSError:
            os.close(pipe)
            os.close(child_pipe)
            raise
        if pid == 0:
            self._be_job(message, child_pipe)
        os.close(child_pipe)
        os.set_blocking(pipe, False)
        deadline = time.monotonic() + message["seconds"]
        job = self._jobs[pid] = Job(message["id"], message["tool"], pid, pipe, deadline)
        self._selector.register(pipe, selectors.EVENT_READ, lambda: self._read(job))

    def end(self, call_id: str) -> None:
        """End a call, if it runs."""
        for job in self._jobs.values():
            if job.call_id == call_id:
                os.kill(job.pid, signal.SIGKILL)
                self._drain(job)
                break

    def drain(self) -> None:
        """Answer every call: all children were ended."""
        for job in list(self._jobs.values()):
            self._drain(job)

    def deadlines(self) -> list[float]:
        """When `expire` wants to be called."""
        return [job.deadline for job in self._jobs.values() if not job.late]

    def expire(self, now: float) -> None:
        """End what takes too long."""
        for job in self._jobs.values():
            if job.deadline <= now and not job.late:
                job.late = True
                os.kill(job.pid, signal.SIGKILL)

    def _be_job(self, message: dict[str, Any], pipe: int) -> None:
        try:
            self._channel.close()
            self._forget()
            processes.become_tool()
            try:
                content, failed = VERBS[message["tool"]](message["input"]), False
            except files.ToolError as error:
                content, failed = [{"type": "text", "text": str(error)}], True
            except (KeyError, TypeError, AttributeError) as error:
                text = f"{message['tool']}: the input is not valid: {error}"
                content, failed = [{"type": "text", "text": text}], True
            answer = {"id": message["id"], "content": content, "is_error": failed}
            with open(pipe, "wb") as out:
                out.write(json.dumps(answer).encode())
        finally:
            os._exit(0)

    def _read(self, job: Job) -> None:
        try:
            data = os.read(job.pipe, 1 << 16)
        except BlockingIOError:
            return
        if data:
            job.data += data
            return
        self._selector.unregister(job.pipe)
        os.close(job.pipe)
        del self._jobs[job.pid]
        _, status = os.waitpid(job.pid, 0)
        try:
            answer = json.loads(job.data)
        except ValueError:
            why = self._why()
            if job.late:
                why = "it took too long and was ended"
            elif not why:
                why = f"its process ended unexpectedly (status {status})"
            content = [{"type": "text", "text": f"{job.tool}: {why}"}]
            answer = {"id": job.call_id, "content": content, "is_error": True}
        self._channel.sendall(pack(answer))

    def _drain(self, job: Job) -> None:
        os.set_blocking(job.pipe, True)
        while job.pid in self._jobs:
            self._read(job)
