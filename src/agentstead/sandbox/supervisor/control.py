"""The supervisor's loop: takes calls from workers, has the runner run them, writes the journal.

A call is answered from the journal when it is known, joined when it runs, and run otherwise. The
supervisor ends when it is told to, when the sandbox ends, or when nobody has renewed it for long.
"""

import os
import selectors
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentstead.sandbox.supervisor.frames import Frames, FrameTooLarge, pack
from agentstead.sandbox.supervisor.gate import gate_of
from agentstead.sandbox.supervisor.journal import Journal
from agentstead.sandbox.supervisor.launch import Launched
from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.outcomes import CANCELLED, answer, failure
from agentstead.sandbox.supervisor.place import SOCKET, Place
from agentstead.sandbox.supervisor.watch import Watch

LOG_BYTES = 8192
BACKSTOP_SECONDS = 10.0
"""So long after its time a call may still be unanswered before the sandbox counts as stuck."""
TICK_SECONDS = 0.5
QUIET_SECONDS = 5.0
"""Between two looks at a sandbox that does nothing."""


@dataclass(eq=False)
class Client:
    """A worker's connection."""

    connection: socket.socket
    frames: Frames = field(default_factory=Frames)
    to_send: bytearray = field(default_factory=bytearray)


@dataclass(eq=False)
class Call:
    """A call that has not ended."""

    id: str
    tool: str
    input: dict[str, Any]
    seconds: float
    waiting: list[Client]
    deadline: float = 0.0
    """Zero until it runs."""
    oom_kills: int = 0


class Supervisor:
    """One sandbox's life."""

    def __init__(
        self, place: Place, config: dict[str, Any], launched: Launched, control: Control
    ) -> None:
        self.place = place
        self.limits: dict[str, Any] = config["limits"]
        self.idle_seconds: float = config["idle_seconds"]
        self.launched = launched
        self.control = control
        self.journal = Journal(place.journal)
        self.watch = Watch(place, control, self.limits, launched.pid)
        self.selector = selectors.DefaultSelector()
        self.gate = gate_of(config, place, control, self.selector, self._call_now)
        self.runner_frames = Frames()
        self.calls: dict[str, Call] = {}
        self.bash_queue: deque[Call] = deque()
        self.bash_running: Call | None = None
        self.log = b""
        self.stopping = False
        self._quiet_seconds = min(QUIET_SECONDS, self.idle_seconds / 4)
        self.selector.register(launched.channel, selectors.EVENT_READ, self._from_runner)
        self.selector.register(launched.log, selectors.EVENT_READ, self._read_log)

    def _call_now(self) -> str:
        """The call that the network is used for, as far as one can tell: only bash can use it."""
        return self.bash_running.id if self.bash_running is not None else ""

    def wait_ready(self, seconds: float) -> bool:
        """Whether the runner reports in time."""
        until = time.monotonic() + seconds
        self.launched.channel.settimeout(0)
        while time.monotonic() < until:
            for key, _ in self.selector.select(max(0.0, until - time.monotonic())):
                if key.fileobj is not self.launched.channel:
                    self._read_log()
                    continue
                handed: list[int] = []
                try:
                    data, handed, _, _ = socket.recv_fds(
                        self.launched.channel, 1 << 16, 1, socket.MSG_CMSG_CLOEXEC
                    )
                except OSError:
                    data = b""
                if handed and self.gate is not None:
                    self.gate.open(socket.socket(fileno=handed[0]))
                if not data:
                    self._last_words()
                    return False
                for message in self.runner_frames.feed(data):
                    return bool(message.get("ready"))
        return False

    def _last_words(self) -> None:
        until = time.monotonic() + 0.5
        while self.launched.log in self.selector.get_map() and time.monotonic() < until:
            self._read_log()
            time.sleep(0.005)

    def tell_runner(self, message: dict[str, Any]) -> None:
        """One message to the runner."""
        self.launched.channel.settimeout(BACKSTOP_SECONDS)
        try:
            self.launched.channel.sendall(pack(message))
        except OSError:
            self._lost("the sandbox stopped answering")

    def serve(self, ready: Callable[[], None]) -> None:
        """Until the end; `ready` is called once workers can reach us."""
        listener = socket.socket(socket.AF_UNIX)
        folder = os.open(self.place.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (self.place.path / SOCKET).unlink(missing_ok=True)
            # the folder's path may be longer than a socket's address can be
            listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
        finally:
            os.close(folder)
        listener.listen(128)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))
        ready()
        ticked = time.monotonic()
        while not self.stopping:
            for key, events in self.selector.select(
                TICK_SECONDS if self.calls else self._quiet_seconds
            ):
                if key.fd in self.selector.get_map() and not self.stopping:
                    if isinstance(key.data, Client):
                        self._client(key.data, events)
                    else:
                        key.data()
            if time.monotonic() - ticked >= TICK_SECONDS:
                ticked = time.monotonic()
                self._tick()

    def end(self) -> None:
        """Kill the sandbox and give back what it used."""
        (self.place.path / SOCKET).unlink(missing_ok=True)
        if self.gate is not None:
            self.gate.end()
        try:
            os.kill(self.launched.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.launched.pid, 0)
        self._last_words()
        sys.stderr.write(self.log.decode("utf-8", "replace"))
        sys.stderr.flush()
        self.control.remove()

    # --- workers

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        self.selector.register(connection, selectors.EVENT_READ, Client(connection))

    def _client(self, client: Client, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush(client)
        if not events & selectors.EVENT_READ:
            return
        try:
            data = client.connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            for message in client.frames.feed(data):
                self._request(client, message)
        except BlockingIOError:
            return
        except (OSError, FrameTooLarge, ValueError, KeyError, TypeError, AttributeError):
            self._hang_up(client)

    def _hang_up(self, client: Client) -> None:
        for call in self.calls.values():
            if client in call.waiting:
                call.waiting.remove(client)
        if client.connection.fileno() >= 0:
            self.selector.unregister(client.connection)
            client.connection.close()

    def _reply(self, client: Client, message: dict[str, Any]) -> None:
        client.to_send += pack(message)
        self._flush(client)

    def _flush(self, client: Client) -> None:
        if client.connection.fileno() < 0:
            return
        try:
            while client.to_send:
                del client.to_send[: client.connection.send(client.to_send)]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up(client)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.to_send else 0)
        self.selector.modify(client.connection, events, client)

    def _request(self, client: Client, message: dict[str, Any]) -> None:
        operation = message["op"]
        if operation == "call":
            self._call(client, message)
        elif operation == "cancel":
            self._cancel(message["id"])
            self._reply(client, {"cancelled": True})
        elif operation == "status":
            self._reply(client, {"limits": self.control.kind, "pid": self.launched.pid})
        elif operation == "stop":
            self._stop()
        elif operation == "rest" and self.calls:
            self._reply(client, {"busy": True})
        elif operation == "rest":
            self._stop()

    # --- calls

    def _call(self, client: Client, message: dict[str, Any]) -> None:
        call_id = message["id"]
        running = self.calls.get(call_id)
        if running is not None:
            running.waiting.append(client)
            return
        record = self.journal.read(call_id)
        if record is not None:
            self._reply(client, answer(record.state, record.outcome))
            return
        self.place.renew()
        call = Call(call_id, message["tool"], message["input"], self._seconds(message), [client])
        self.calls[call_id] = call
        if call.tool == "bash" and self.bash_running is not None:
            self.bash_queue.append(call)
        else:
            self._run(call)

    def _seconds(self, message: dict[str, Any]) -> float:
        given = message["input"].get("timeout_ms") if message["tool"] == "bash" else None
        seconds = given / 1000 if given else float(self.limits["call_seconds"])
        return min(seconds, float(self.limits["call_seconds_max"]))

    def _run(self, call: Call) -> None:
        refusal = self.watch.refusal(call.tool)
        try:
            begun = self.journal.start(call.id, call.tool)
        except OSError as error:
            text = f"{call.tool}: not run: the host cannot write its journal: {error.strerror}"
            self._conclude(call, failure(text), write=False)
            return
        if not begun:
            # a worker wrote that it must never run, a moment ago
            self._conclude(call, CANCELLED, write=False)
            return
        if refusal:
            self._conclude(call, failure(f"{call.tool}: {refusal}"))
            return
        if call.tool == "bash":
            self.bash_running = call
        call.deadline = time.monotonic() + call.seconds
        call.oom_kills = self.control.oom_kills()
        self.watch.begin()
        self.tell_runner(
            {
                "op": "run",
                "id": call.id,
                "tool": call.tool,
                "input": call.input,
                "seconds": call.seconds,
            }
        )

    def _conclude(self, call: Call, outcome: dict[str, Any], *, write: bool = True) -> None:
        if self.gate is not None:
            self.gate.drain()  # what it decided during this call belongs to this call
        if write:
            self._finish(call.id, outcome)
        self.calls.pop(call.id, None)
        self.place.renew()
        for client in list(call.waiting):
            self._reply(client, answer("done", outcome))
        if call is self.bash_running:
            self.bash_running = None
            self._next_bash()

    def _finish(self, call_id: str, outcome: dict[str, Any]) -> None:
        try:
            self.journal.finish(call_id, outcome)
        except OSError as error:
            # who waits is told all the same; who asks later hears that nobody knows
            sys.stderr.write(f"the end of {call_id} is not in the journal: {error}\n")

    def _next_bash(self) -> None:
        while self.bash_queue and self.bash_running is None and not self.stopping:
            self._run(self.bash_queue.popleft())

    def _cancel(self, call_id: str) -> None:
        call = self.calls.get(call_id)
        if call is None:
            self.journal.refuse(call_id)
        elif call in self.bash_queue:
            self.bash_queue.remove(call)
            self.journal.refuse(call_id)
            self._conclude(call, CANCELLED, write=False)
        else:
            # the journal first: whatever the runner still says of it comes too late
            self._finish(call_id, CANCELLED)
            self.tell_runner({"op": "end", "id": call_id, "why": "the call was cancelled"})
            self.calls.pop(call_id, None)
            for client in list(call.waiting):
                self._reply(client, answer("done", CANCELLED))
            if call is self.bash_running:
                self.bash_running = None
                self._next_bash()

    def _stop(self) -> None:
        self.stopping = True
        for call in self.calls.values():
            for waiting in list(call.waiting):
                self._reply(waiting, {"unknown": True})

    # --- the sandbox

    def _from_runner(self) -> None:
        try:
            data = self.launched.channel.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost("every process in the sandbox ended")
            return
        try:
            messages = list(self.runner_frames.feed(data))
        except (FrameTooLarge, ValueError):
            self._lost("the sandbox answered nonsense")
            return
        for message in messages:
            call = self.calls.get(message.get("id", "")) if isinstance(message, dict) else None
            if call is not None and call.deadline:
                self._conclude(call, self._outcome(call, message))

    def _outcome(self, call: Call, message: dict[str, Any]) -> dict[str, Any]:
        content, failed = message.get("content"), bool(message.get("is_error"))
        if not isinstance(content, list) or not content:
            return failure(f"{call.tool}: the sandbox answered nonsense")
        notes = self.watch.notes(oom_kills_before=call.oom_kills)
        if notes and content[-1].get("type") == "text":
            content[-1]["text"] = "\n".join([content[-1]["text"], *notes])
        return {"content": content, "is_error": failed}

    def _lost(self, why: str) -> None:
        if self.stopping:
            return
        self.stopping = True
        for call in list(self.calls.values()):
            if call.deadline:
                notes = self.watch.notes(oom_kills_before=call.oom_kills)
                text = f"{call.tool}: {why} while this call ran; the next call starts it again."
                outcome = failure("\n".join([text, *notes]))
                self._finish(call.id, outcome)
                for client in list(call.waiting):
                    client.connection.settimeout(1.0)
                    self._reply(client, answer("done", outcome))

    def _read_log(self) -> None:
        try:
            data = os.read(self.launched.log, 4096)
        except OSError:
            return
        if not data and self.launched.log in self.selector.get_map():
            self.selector.unregister(self.launched.log)
        self.log = (self.log + data)[-LOG_BYTES:]

    def _tick(self) -> None:
        now = time.monotonic()
        if self.gate is not None:
            self.gate.drain()
        for call in self.calls.values():
            if call.deadline and now > call.deadline + BACKSTOP_SECONDS:
                self._lost("the sandbox stopped answering")
                return
        trouble = self.watch.look(busy=bool(self.calls))
        if trouble:
            self.tell_runner({"op": "end_all", "why": trouble})
        if not self.calls and time.time() - self.place.renewed_at() > self.idle_seconds:
            self.stopping = True
