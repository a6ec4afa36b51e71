"""A client without sense: hypothesis drives sessions by every event and route, right and wrong.

Promises: what is legal succeeds, what is not is a 400 that changes nothing, nothing hangs, and at
rest everything in `holds` is true.
"""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from agentstead.clock import SystemClock
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.fake_sandbox import Behaviour, FakeCall, FakeSandbox
from tests.fuzz import holds
from tests.fuzz.garden import Garden, says
from tests.fuzz.watched import Event, Watched, results, uses
from tests.support.server import MODEL


def bash(command: str = "ls") -> Event:
    return {"name": "bash", "input": {"command": command}}


LOOKUP = {"name": "lookup", "input": {"n": 1}}
WRITE = {"name": "write", "input": {"file_path": "/a", "content": "1"}}
DONE = {"text": "Done: {{results}}"}
SCRIPTS: dict[str, list[Event]] = {
    "plain": [{"thinking": "Hm.", "text": "Fine."}],
    "works": [{"text": "On it.", "tools": [bash(), bash()]}, {"tools": [bash()]}, DONE],
    "custom": [{"tools": [LOOKUP, LOOKUP]}, DONE],
    "asks": [{"tools": [WRITE, WRITE]}, DONE],
    "mixed": [{"text": "All.", "tools": [LOOKUP, WRITE, bash()]}, {"tools": [LOOKUP]}, DONE],
    "slow": [{"tools": [bash("sleep")]}, DONE],
    "beside": [{"tools": [bash("sleep"), LOOKUP]}, DONE],
    "unknown": [{"tools": [{"name": "nothing", "input": {}}, bash()]}, DONE],
    "refuses": [{"text": "No.", "refusal": {"category": "cyber"}}],
    "fails": [{"trouble": [{"status": 400, "times": None}]}],
    "shaky": [{"text": "At last.", "trouble": [{"status": 529, "times": 2}]}],
    "cut": [{"text": "A longer text, in pieces.", "trouble": [{"cut_after_pieces": 1}]}],
}
SCRIPT = {
    "scripts": [{"when": {"contains": f"<{name}>"}, "turns": turns} for name, turns in SCRIPTS.items()],
    "otherwise": "Nothing to do.",
    "delays": {"piece_characters": 6, "piece_seconds": 0.001},
}  # fmt: skip
TOOLS: list[Any] = [
    {"type": "agent_toolset_20260401",
     "configs": [{"name": "write", "permission_policy": {"type": "always_ask"}}]},
    {"type": "custom", "name": "lookup", "description": "d", "input_schema": {"type": "object"}},
]  # fmt: skip
PACE = {"retry_first_seconds": 0.01, "retry_max_seconds": 0.02}


def hands() -> FakeSandbox:
    """Tools that answer at once, but for one that takes a minute."""

    def behave(call: FakeCall) -> Behaviour:
        slow = call.arguments.get("command") == "sleep"
        return Behaviour(Outcome.text(f"{call.tool} ran"), seconds=60.0 if slow else 0.0)

    return FakeSandbox(SystemClock(), behave)


def text(words: str) -> list[Event]:
    return [{"type": "text", "text": words}]


waits = st.sampled_from((True, True, False))
limits = st.sampled_from((1, 2, 3, 7, 1000))
picks = st.integers(0, 5)


class Sessions(RuleBasedStateMachine):
    """One session after another, with all that can be done to it."""

    def __init__(self, garden: Garden, agent: Event, environment: Event) -> None:
        super().__init__()
        self.garden, self.agent, self.environment = garden, agent, environment
        self.now: Watched | None = None
        self.at_rest = True
        self.ended: list[Watched] = []

    # the session

    @initialize(name=st.sampled_from(("", *SCRIPTS)), wait=waits)
    def begin(self, name: str, wait: bool) -> None:
        first = [says(f"<{name}>")] if name else []
        body = {"agent": self.agent["id"], "environment_id": self.environment["id"]}
        made = self.garden.post("/v1/sessions", {**body, "initial_events": first})
        assert made["status"] == ("running" if first else "idle")
        self.now = Watched(self.garden.http, made)
        self.rest(wait, 1000)

    @rule(name=st.sampled_from(("", *SCRIPTS)), wait=waits)
    def begin_again(self, name: str, wait: bool) -> None:
        if self.now is None:
            self.begin(name, wait)

    def rest(self, wait: bool, limit: int) -> None:
        """Wait for the end of it, and look at everything."""
        self.at_rest = False
        if wait:
            self.settle(limit)

    def settle(self, limit: int = 1000) -> str:
        """Settled and checked; the status."""
        watched = self.session
        status = watched.settled()
        holds.check(watched, limit)
        self.at_rest = True
        return status

    @property
    def session(self) -> Watched:
        """The session; a new one when there is none. No rule has a precondition: whether one ended
        may depend on a race, and what hypothesis draws must not."""
        if self.now is None:
            self.begin("", True)
        assert self.now is not None
        return self.now

    def facts(self) -> tuple[str, list[str], list[Event]]:
        """Status, open calls of the last idle, the log."""
        status = self.session.get()["status"]
        events = self.session.listed()
        idles = [one for one in events if one["type"] == "session.status_idle"]
        last = idles[-1]["stop_reason"] if idles and status == "idle" else {}
        return status, last.get("event_ids", []), events

    def attempt(self, events: list[Event], legal: bool, lasting: int | None = None) -> None:
        """Send; at rest it must be as foretold, and what is refused or void changes nothing.

        `lasting`: so many of the first have an effect (None: all).
        """
        before = self.session.listed() if self.at_rest else None
        status, value = self.session.send(*events)
        assert status in (200, 400), value
        if before is None:
            return
        assert (status == 200) == legal, (events, value, holds.kinds(before))
        if status == 200 and lasting != 0:
            # Clients rule 2: listed at once.
            ids = {one["id"] for one in self.session.listed()}
            there = [one["id"] in ids for one in value["data"]]
            number = len(events) if lasting is None else lasting
            assert there == [place < number for place in range(len(events))], value
        elif self.session.get()["status"] != "running":
            assert self.session.listed() == before, (events, holds.kinds(before))

    # what clients send

    @rule(names=st.lists(st.sampled_from(sorted(SCRIPTS)), min_size=1, max_size=3),
          system=st.booleans(), wait=waits, limit=limits)  # fmt: skip
    def say(self, names: list[str], system: bool, wait: bool, limit: int) -> None:
        if self.at_rest:
            # Calls of different messages in one turn would make the script ambiguous, not us.
            names = names[:1] if self.facts()[0] == "idle" else names
        events = [says(f"<{name}>") for name in names]
        if system:
            events.append({"type": "system.message", "content": text("Be brief.")})
        _, waiting, _ = self.facts()
        self.attempt(events, not waiting)
        self.rest(wait, limit)

    @rule(pick=picks, deny=st.booleans(), twice=st.booleans(), wait=waits, limit=limits)
    def answer(self, pick: int, deny: bool, twice: bool, wait: bool, limit: int) -> None:
        """Any call, open or not, in the right way."""
        status, waiting, events = self.facts()
        known = uses(events)
        if not known:
            return
        ids = [*waiting, *known] if pick % 2 else list(known)[::-1]
        call = known[ids[pick % len(ids)]]
        legal = call["type"] == "agent.custom_tool_use" or call.get("evaluated_permission") == "ask"
        given = self.answer_to(call, deny)
        effect = call["id"] in waiting
        if status == "running" and call["id"] not in results(events):
            effect = call["type"] == "agent.custom_tool_use"
        self.attempt([given] * (2 if twice else 1), legal, int(effect))
        self.rest(wait, limit)

    def answer_to(self, call: Event, deny: bool) -> Event:
        if call["type"] == "agent.custom_tool_use":
            return {"type": "user.custom_tool_result", "custom_tool_use_id": call["id"],
                    "content": text("found"), "is_error": deny}  # fmt: skip
        more = {"deny_message": "No."} if deny else {}
        return {"type": "user.tool_confirmation", "tool_use_id": call["id"],
                "result": "deny" if deny else "allow", **more}  # fmt: skip

    @rule(wait=waits, limit=limits)
    def answer_all(self, wait: bool, limit: int) -> None:
        """Everything that is waited for, in one request."""
        _, waiting, events = self.facts()
        if waiting:
            known = uses(events)
            self.attempt([self.answer_to(known[one], False) for one in waiting], True)
            self.rest(wait, limit)

    @rule(thread=st.sampled_from((None, "primary", "sthr_none")), wait=waits, limit=limits)
    def interrupt(self, thread: str | None, wait: bool, limit: int) -> None:
        status, waiting, _ = self.facts()
        named = self.session.primary if thread == "primary" else thread
        event = {"type": "user.interrupt", **({"session_thread_id": named} if thread else {})}
        effect = status == "running" or bool(waiting)
        self.attempt([event], thread != "sthr_none", int(effect))
        self.rest(wait, limit)

    @rule(wrong=st.sampled_from(("unknown", "other kind", "no ask", "result", "block", "order", "fields")),
          first=st.booleans(), limit=limits)  # fmt: skip
    def send_wrong(self, wrong: str, first: bool, limit: int) -> None:
        """One event that is not legal, alone or behind one that is: all of it is refused."""
        events = self.session.listed()
        known = uses(events)
        custom = next((one for one in known.values() if one["type"] == "agent.custom_tool_use"), None)  # fmt: skip
        quick = next((one for one in known.values() if one.get("evaluated_permission") == "allow"), None)  # fmt: skip
        spoiled = {
            "unknown": {"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_none"},
            "other kind": {"type": "user.tool_confirmation", "result": "allow",
                           "tool_use_id": custom["id"] if custom else "sevt_none"},
            "no ask": {"type": "user.tool_confirmation", "result": "allow",
                       "tool_use_id": quick["id"] if quick else "sevt_none"},
            "result": {"type": "user.tool_result", "tool_use_id": quick["id"] if quick else "sevt_none"},
            "block": {"type": "user.message", "content": [{"type": "redacted"}]},
            "order": {"type": "system.message", "content": text("first")},
            "fields": {"type": "user.message", "content": text("a"), "role": "user"},
        }[wrong]  # fmt: skip
        batch = [spoiled, says("<plain>")] if wrong == "order" else [says("<plain>"), spoiled] if first else [spoiled]  # fmt: skip
        before = self.session.listed()
        answered, value = self.session.send(*batch)
        assert answered == 400, (batch, value)
        assert value["error"]["message"].startswith(("events.", "The session")), value
        if self.at_rest:
            assert self.session.listed() == before

    @rule(wait=waits, limit=limits)
    def instruct_alone(self, wait: bool, limit: int) -> None:
        """A system.message by itself waits for the next message and starts nothing."""
        status, waiting, _ = self.facts()
        self.attempt([{"type": "system.message", "content": text("Later.")}], not waiting)
        if self.at_rest and status == "idle":
            assert self.session.get()["status"] == "idle"
        self.rest(wait, limit)

    # what clients do to sessions

    @rule(title=st.sampled_from(("a", "b", None)), value=st.sampled_from(("1", None)),
          tools=st.booleans(), wait=waits, limit=limits)  # fmt: skip
    def update(
        self, title: str | None, value: str | None, tools: bool, wait: bool, limit: int
    ) -> None:
        body = {"title": title, "metadata": {"k": value}, **({"agent": {"tools": TOOLS}} if tools else {})}  # fmt: skip
        before = self.session.get()
        count = len(self.session.listed("types[]=session.updated"))
        status, value_ = self.session.ask("POST", "", body)
        if self.at_rest:
            assert (status == 200) == (before["status"] == "idle" or not tools), value_
            changed = status == 200 and (before["title"], before["metadata"].get("k")) != (title, value)  # fmt: skip
            grown = len(self.session.listed("types[]=session.updated")) - count
            assert grown == int(changed), (before, body)
        self.rest(wait, limit)

    @rule(gone=st.booleans())
    def end(self, gone: bool) -> None:
        """Archive or delete: refused while it runs."""
        running = self.session.get()["status"] != "idle"
        status, value = self.session.ask(*(("DELETE", "") if gone else ("POST", "/archive")))
        if self.at_rest:
            assert (status == 400) == running, value
        if status == 200:
            self.over(gone)

    def over(self, gone: bool) -> None:
        """Its stream ends; what is left is read-only."""
        watched, self.now, self.at_rest = self.session, None, True
        watched.follower.close()
        assert not watched.follower.troubles, watched.follower.troubles
        last = watched.follower.frames[-1]["type"]
        assert last == ("session.deleted" if gone else "session.status_terminated")
        if gone:
            assert watched.ask("GET")[0] == watched.ask("GET", "/events")[0] == 404
        else:
            holds.check(watched, 1000)
            self.ended.append(watched)

    @rule(pick=picks)
    def poke_an_ended_one(self, pick: int) -> None:
        if not self.ended:
            return
        watched = self.ended[pick % len(self.ended)]
        assert watched.send(says("<plain>"))[0] == 400
        assert watched.send({"type": "user.interrupt"})[0] == 400
        assert watched.ask("POST", "", {"title": "z"})[0] == 400
        assert watched.ask("POST", "/archive")[0] == 200
        assert watched.listed() == watched.kept

    @rule(limit=st.integers(1, 3), descending=st.booleans())
    def page_sessions(self, limit: int, descending: bool) -> None:
        """Forwards to the end and back again (wire §1.8, trap 24)."""
        http = self.garden.http
        query = f"/v1/sessions?limit={limit}&order={'desc' if descending else 'asc'}&include_archived=true&agent_id={self.agent['id']}"  # fmt: skip
        page, pages = http.get(query).json(), []
        assert page["prev_page"] is None
        while True:
            pages.append([one["id"] for one in page["data"]])
            if not page["next_page"] or len(pages) == 5:
                break
            page = http.get(f"{query}&page={page['next_page']}").json()
        ids = [one for each in pages for one in each]
        assert len(set(ids)) == len(ids)
        back = []
        while page["prev_page"]:
            page = http.get(f"{query}&page={page['prev_page']}").json()
            back.append([one["id"] for one in page["data"]])
        assert back == pages[-2::-1] if len(pages) > 1 else back == []

    def teardown(self) -> None:
        """To its end, whatever state it is in."""
        try:
            if self.now is not None:
                for _ in range(4):  # what was queued behind a slow call may be slow as well
                    if self.settle() == "idle":
                        break
                    self.session.send({"type": "user.interrupt"})
                self.session.ask("POST", "/archive")
                self.over(False)
        finally:
            if self.now is not None:  # it failed: let its reader go
                self.now.follower.closing = True


def agent_body() -> Event:
    """The agent of all its sessions."""
    return {"name": "machine", "model": MODEL, "tools": TOOLS}
