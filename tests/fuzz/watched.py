"""One session as a client sees it: what it sends, lists and follows, each answer judged.

Promises: a stream has been open since the session's birth and keeps every frame; `settled` returns
when nothing moves any more, or fails: a hang is a failure.
"""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx2

from tests.fuzz.answers import judge

SETTLE_SECONDS = 15.0
USES = ("agent.tool_use", "agent.custom_tool_use", "agent.mcp_tool_use")
LINKS = ("tool_use_id", "custom_tool_use_id", "mcp_tool_use_id")
Event = dict[str, Any]


class Follower:
    """A stream that is read in a thread until it ends."""

    def __init__(self, http: httpx2.Client, path: str) -> None:
        self.frames: list[Event] = []
        self.troubles: list[str] = []
        self.ended = threading.Event()
        self.opened = threading.Event()
        self.http = http
        self.path = path
        self.closing = False
        self.thread = threading.Thread(target=self.read, name=f"follower {path}")
        self.thread.start()
        assert self.opened.wait(10), "a stream did not open"
        assert not self.troubles, self.troubles

    def read(self) -> None:
        """Keep each frame."""
        try:
            with self.http.stream("GET", self.path) as answer:
                assert answer.status_code == 200, answer.read()
                judge("GET", 200, answer.headers, None)
                self.answer = answer
                self.opened.set()
                for frame in frames(answer.iter_lines()):
                    self.frames.append(frame)
        except (httpx2.HTTPError, AssertionError, ValueError) as error:
            if not self.closing:
                self.troubles.append(repr(error))
        finally:
            self.opened.set()
            self.ended.set()

    def has(self, event_id: str) -> bool:
        """Whether this event has come, taken in."""
        return any(one.get("id") == event_id and one["processed_at"] for one in list(self.frames))

    def close(self) -> None:
        """Only after its session has ended: nothing else ends a stream."""
        assert self.ended.wait(10), f"{self.path} goes on although its session has ended"
        self.thread.join(10)


def frames(lines: Iterator[str]) -> Iterator[Event]:
    """The events of a stream; each is named after its type (traps 26, 27)."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            frame = json.loads(line.removeprefix("data: "))
            assert frame["type"] == name, line
            yield frame
        else:
            assert not line or line.startswith((":", "id: ")), line


class Watched:
    """A session, and what is known of it."""

    def __init__(self, http: httpx2.Client, session: Event) -> None:
        self.http = http
        self.id = session["id"]
        self.path = f"/v1/sessions/{self.id}"
        self.kept: list[Event] = []
        """The log as it was last listed: it may only grow."""
        self.follower = Follower(http, f"{self.path}/events/stream?event_deltas[]=agent.message")
        self.primary = self.ask("GET", "/threads")[1]["data"][0]["id"]

    def ask(self, method: str, below: str = "", body: Any = None) -> tuple[int, Any]:
        """A request below the session; status and JSON, judged."""
        answer = self.http.request(method, self.path + below, json=body)
        value = judge(method, answer.status_code, answer.headers, answer.content)
        return answer.status_code, value

    def get(self, below: str = "") -> Any:
        """A read that must succeed."""
        status, value = self.ask("GET", below)
        assert status == 200, value
        return value

    def send(self, *events: Event) -> tuple[int, Any]:
        """Send; what comes back has the order and the kinds of what was sent."""
        status, value = self.ask("POST", "/events", {"events": events})
        if status == 200:
            assert [one["type"] for one in value["data"]] == [one["type"] for one in events]
        return status, value

    def listed(self, query: str = "limit=1000") -> list[Event]:
        """The whole list, page after page."""
        found: list[Event] = []
        page = self.get(f"/events?{query}")
        found += page["data"]
        while page["next_page"]:
            page = self.get(f"/events?{query}&page={page['next_page']}")
            found += page["data"]
            assert len(found) < 10_000, "the pages do not end"
        return found

    def settled(self) -> str:
        """Wait until nothing moves; the status then. A tool that is meant to run on may run."""
        until = time.monotonic() + SETTLE_SECONDS
        while True:
            why = self.get("/why")
            if why["state"] in ("idle", "terminated"):
                waits = why["waiting_for"]["type"] == "client"
                rest = why["queue"]["inbox"] == len(self.kept_waiting(waits))
                if rest and not why["lease"] and why["waiting_for"]["type"] != "worker":
                    return str(why["state"])
            elif self.runs_on(why["queue"]["inbox"]):
                return str(why["state"])
            assert time.monotonic() < until, f"{self.id} does not settle: {why}"
            time.sleep(0.004)

    def kept_waiting(self, for_answers: bool) -> list[Event]:
        """Instructions that wait for a message; behind open calls also messages that came before them."""
        queued = [one for one in self.listed("order=desc&limit=100") if not one["processed_at"]]
        kinds = ("system.message", "user.message") if for_answers else ("system.message",)
        return [one for one in queued if one["type"] in kinds]

    def runs_on(self, inbox: int) -> bool:
        """Whether a call runs that only an interrupt ends, and nothing else is under way."""
        events = self.listed()
        taken = [one for one in events if one["processed_at"]]
        queued = [one["type"] for one in events[len(taken) :]]
        if len(queued) != inbox or set(queued) - {"user.message", "system.message"}:
            return False
        known, answered = uses(taken), results(taken)
        running = [one for call, one in known.items() if call not in answered]
        running = [one for one in running if one["type"] != "agent.custom_tool_use"]
        if [one["input"] for one in running] != [{"command": "sleep"}]:
            return False
        after = taken[taken.index(running[0]) :]
        ended = any(one["type"] == "span.model_request_end" for one in after)
        return ended and not any(one["type"] == "user.interrupt" for one in after)


def uses(events: list[Event]) -> dict[str, Event]:
    """Calls of the model by id, in order."""
    return {one["id"]: one for one in events if one["type"] in USES}


def linked(event: Event) -> str | None:
    """The call that an event is about."""
    return next((event[name] for name in LINKS if event.get(name)), None)


def results(events: list[Event]) -> dict[str, list[Event]]:
    """Results by call."""
    found: dict[str, list[Event]] = {}
    for one in events:
        call = linked(one)
        if call and one["type"] != "user.tool_confirmation":
            found.setdefault(call, []).append(one)
    return found
