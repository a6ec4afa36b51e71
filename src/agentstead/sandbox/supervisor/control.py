"""The supervisor's loop: takes calls from workers, has the runner run them, writes the journal.

A call is answered from the journal when it is known, joined when it runs, and run otherwise. The
supervisor ends when it is told to, when the sandbox ends, or when nobody has renewed it for long.
"""

import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentstead.sandbox.supervisor import spare
from agentstead.sandbox.supervisor.clients import Client, Clients
from agentstead.sandbox.supervisor.gate import gate_of
from agentstead.sandbox.supervisor.inside import Inside
from agentstead.sandbox.supervisor.journal import Journal
from agentstead.sandbox.supervisor.launch import Launched
from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.notice import Notice
from agentstead.sandbox.supervisor.outcomes import CANCELLED, answer, failure
from agentstead.sandbox.supervisor.pace import Pace
from agentstead.sandbox.supervisor.place import SOCKET, Place
from agentstead.sandbox.supervisor.watch import Watch

BACKSTOP_SECONDS = 10.0
"""So long after its time a call may still be unanswered before the sandbox counts as stuck."""
TICK_SECONDS = 0.5
QUIET_SECONDS = 5.0
"""Between two looks at a sandbox that does nothing."""


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
    forks_refused: int = 0


class Supervisor:
    """One sandbox's life."""

    def __init__(
        self, place: Place, config: dict[str, Any], launched: Launched, control: Control
    ) -> None:
        self.place = place
        self.limits: dict[str, Any] = config["limits"]
        self.idle_seconds: float = config["idle_seconds"]
        self.packages: str = config.get("packages", "")
        self.control = control
        self.journal = Journal(place.journal)
        self.notice = Notice(place)
        self.watch = Watch(place, control, self.limits, launched.pid)
        self.pace = Pace(place, control)
        self.selector = selectors.DefaultSelector()
        self.gate = gate_of(config, place, control, self.selector, self._call_now)
        self.clients = Clients(self.selector, self._request)
        self.inside = Inside(launched, self.selector, self._answered, self._lost)
        self.calls: dict[str, Call] = {}
        self.bash_queue: deque[Call] = deque()
        self.bash_running: Call | None = None
        self.stopping = False
        self.lost = False
        """Whether it ended by itself, and not because nobody wants it any more."""
        self._quiet_seconds: float = min(QUIET_SECONDS, self.idle_seconds / 4)

    def _call_now(self) -> str:
        """The call that the network is used for, as far as one can tell: only bash can use it."""
        return self.bash_running.id if self.bash_running is not None else ""

    def wait_ready(self, seconds: float) -> bool:
        """Whether the runner reports in time."""
        return self.inside.wait_ready(seconds, self._open_gate)

    def _open_gate(self, listener: socket.socket) -> None:
        if self.gate is not None:
            self.gate.open(listener)
        else:
            listener.close()

    def serve(self, ready: Callable[[], None]) -> None:
        """Until the end; `ready` is called once workers can reach us."""
        self.clients.listen(self.place)
        ready()
        ticked = time.monotonic()
        while not self.stopping:
            for key, _ in self.selector.select(self._patience()):
                if key.fd in self.selector.get_map() and not self.stopping:
                    key.data()
            self.pace.look()
            if time.monotonic() - ticked >= TICK_SECONDS:
                ticked = time.monotonic()
                self._tick()

    def _patience(self) -> float:
        if self.calls or self.pace.alert:
            return self.pace.patience
        return self._quiet_seconds

    def end(self) -> None:
        """Kill the sandbox and give back what it used."""
        (self.place.path / SOCKET).unlink(missing_ok=True)
        self.pace.go_on()
        if self.gate is not None:
            self.gate.end()
        self.inside.end()
        self.inside.last_words()
        sys.stderr.write(self.inside.complaints)
        sys.stderr.flush()
        self.control.remove()

    # --- workers

    def _request(self, client: Client, message: dict[str, Any]) -> None:
        operation = message["op"]
        if operation == "call":
            self._call(client, message)
        elif operation == "cancel":
            self._cancel(message["id"])
            self.clients.reply(client, {"cancelled": True})
        elif operation == "status":
            self.clients.reply(client, {"limits": self.control.kind, "pid": self.inside.pid})
        elif operation == "keep":
            self.place.renew()
            self.clients.reply(client, {})
        elif operation == "adopt":
            self.clients.reply(client, {"adopted": self._adopt(message["id"])})
        elif operation == "stop":
            self._stop()
        elif operation == "rest" and self.calls:
            self.clients.reply(client, {"busy": True})
        elif operation == "rest":
            self._stop()

    def _adopt(self, sandbox_id: str) -> bool:
        """From now on this spare is a session's sandbox; nothing has run in it."""
        if not spare.is_spare(self.place.sandbox_id) or self.stopping:
            return False
        try:
            self.place.take_name(sandbox_id)
        except OSError:
            return False
        self.journal = Journal(self.place.journal)
        if self.gate is not None:
            self.gate.take_name(self.place)
        self.place.renew()
        return True

    # --- calls

    def _call(self, client: Client, message: dict[str, Any]) -> None:
        call_id = message["id"]
        running = self.calls.get(call_id)
        if running is not None:
            running.waiting.append(client)
            return
        record = self.journal.read(call_id)
        if record is not None:
            self.clients.reply(client, answer(record.state, record.outcome))
            return
        wanted = message.get("packages", "")
        if wanted and wanted != self.packages and not self.calls:
            # they came after us: whoever asks finds nobody here and starts us again, with them
            self._stop()
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
        call.forks_refused = self.control.forks_refused()
        self.watch.begin()
        about = {"id": call.id, "tool": call.tool, "input": call.input, "seconds": call.seconds}
        self.inside.tell({"op": "run", **about})

    def _conclude(self, call: Call, outcome: dict[str, Any], *, write: bool = True) -> None:
        if self.gate is not None:
            self.gate.drain()  # what it decided during this call belongs to this call
        if write:
            self._finish(call.id, outcome)
        self.calls.pop(call.id, None)
        self.place.renew()
        for client in call.waiting:
            self.clients.reply(client, answer("done", outcome))
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
            self.inside.tell({"op": "end", "id": call_id, "why": "the call was cancelled"})
            self.calls.pop(call_id, None)
            for client in call.waiting:
                self.clients.reply(client, answer("done", CANCELLED))
            if call is self.bash_running:
                self.bash_running = None
                self._next_bash()

    def _stop(self) -> None:
        self.stopping = True
        for call in self.calls.values():
            for waiting in call.waiting:
                self.clients.reply(waiting, {"unknown": True})

    # --- the sandbox

    def _answered(self, message: dict[str, Any]) -> None:
        call = self.calls.get(str(message.get("id", "")))
        if call is not None and call.deadline:
            outcome = self._outcome(call, message)
            self.notice.add(outcome)
            self._conclude(call, outcome)
            self.notice.told()

    def _outcome(self, call: Call, message: dict[str, Any]) -> dict[str, Any]:
        content, failed = message.get("content"), bool(message.get("is_error"))
        if not isinstance(content, list) or not content or not isinstance(content[-1], dict):
            return failure(f"{call.tool}: the sandbox answered nonsense")
        notes = self.watch.notes(call.oom_kills, call.forks_refused)
        if notes and content[-1].get("type") == "text":
            content[-1]["text"] = "\n".join([content[-1]["text"], *notes])
        return {"content": content, "is_error": failed}

    def _lost(self, why: str) -> None:
        if self.stopping:
            return
        self.stopping = self.lost = True
        for call in list(self.calls.values()):
            if call.deadline:
                notes = self.watch.notes(call.oom_kills, call.forks_refused)
                text = f"{call.tool}: {why} while this call ran; the next call starts it again."
                outcome = failure("\n".join([text, *notes]))
                self._finish(call.id, outcome)
                for client in call.waiting:
                    self.clients.reply_last(client, answer("done", outcome))

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
            self.inside.tell({"op": "end_all", "why": trouble})
        if not self.calls and time.time() - self.place.renewed_at() > self.idle_seconds:
            self.stopping = True
        if spare.is_spare(self.place.sandbox_id) and not spare.owned(self.place.sandbox_id):
            self.stopping = True
