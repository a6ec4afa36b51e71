"""What must hold, judged from outside the product.

`Watch` looks at each claim and append as it happens; the functions of `AT_THE_END` look at what a
run has left behind. Each raises `Violation`. `test_checks_bite.py` proves for each that it can fail.
"""

from collections import Counter
from dataclasses import dataclass, field, replace

from agentstead.harness.place import HANDS
from agentstead.log.stop import matches
from agentstead.testing.fake_servers import ServerCall
from agentstead.wire.environment import self_hosted
from agentstead.worker.derive import derive
from agentstead.worker.load import from_record
from tests.simulation import fairness, order
from tests.simulation.scenarios import SERVER_TOOLS, decision
from tests.simulation.violation import Violation

RESULTS = (
    "agent.tool_result",
    "agent.mcp_tool_result",
    "user.custom_tool_result",
    "user.tool_result",
)
STOP_SECONDS, STOP_SECONDS_TROUBLED = 3.0, 60.0
"""So long after a stop nothing goes on any more: a look, and what ending takes; with what faults cost."""
SAMPLED = 4
"""Every so many appends the whole log is folded and compared: more would cost more than the run."""
USES = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")


def demand(holds, message: str) -> None:
    """Raise a violation unless it holds."""
    if not holds:
        raise Violation(message)


def answers(event) -> str | None:
    """The call that this result answers."""
    for name in ("tool_use_id", "mcp_tool_use_id", "custom_tool_use_id"):
        if event.type in RESULTS and name in event.payload:
            return event.payload[name]
    return None


@dataclass
class Promise:
    """What was promised to the holder of a lease."""

    fence: int
    until: float


@dataclass
class Held:
    """A session in a stop."""

    session: object
    seq: int
    """What its log held then."""
    at: float


@dataclass
class Watch:
    """Looks on while it happens."""

    world: object
    promises: dict[str, Promise] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    appends: int = 0
    states: int = 0
    held: dict[str, list["Held"]] = field(default_factory=dict)
    """Stop → what it held."""

    def stopped(self, stop) -> None:
        """From now on nothing begins in the sessions that match."""
        now = self.world.loop.time()
        self.held[stop.id] = [
            Held(each, len(each.events), now)
            for each in self.world.log.sessions.values()
            if matches(stop, each.row)
        ]

    def lifting(self, stop) -> None:
        """Up to now nothing has: no request, and no call but those that were on their way."""
        now, begun = self.world.loop.time(), self.world.sandbox.begun_at
        bound = STOP_SECONDS_TROUBLED if self.world.troubled else STOP_SECONDS
        for held in self.held.pop(stop.id):
            events = held.session.events[held.seq :]
            first = [event for event in events if event.type == "span.model_request_start"]
            demand(not first, f"{held.session.row.id}: a request began in a stopped session")
            late = [
                event.id
                for event in held.session.events
                if event.type in USES and begun.get(event.id, 0.0) > held.at + bound
            ]
            demand(
                not late or begun[late[0]] > now,
                f"{held.session.row.id}: {late} began in a stopped session",
            )
            later = {event.id for event in events if event.type in USES} & begun.keys()
            demand(not later, f"{held.session.row.id}: {later} was called in a stopped session")
            status = held.session.row.status
            demand(
                status in ("idle", "terminated") or now < held.at + bound,
                f"{held.session.row.id} is {status} although it is stopped",
            )
            taken = [event for event in events if event.type == "user.message"]
            demand(not taken, f"{held.session.row.id}: a message was taken in while it was stopped")

    def claimed(self, leases) -> None:
        """A lease is never given away before its promised end; fences only grow."""
        now = self.world.loop.time()
        for lease in leases:
            promise = self.promises.get(lease.session_id)
            demand(
                promise is None or now >= promise.until,
                f"lease of {lease.session_id} given away {promise and promise.until - now} s early",
            )
            demand(
                lease.fence > self.fences.get(lease.session_id, 0),
                f"{lease.session_id}: fence {lease.fence} is not new",
            )
            self.fences[lease.session_id] = lease.fence
            self.promise(lease)
        fairness.claimed(self.world, leases)

    def promise(self, lease) -> None:
        """The holder may rely on it from now on for the length of a lease."""
        until = self.world.loop.time() + self.world.log.lease_seconds
        self.promises[lease.session_id] = Promise(lease.fence, until)

    def renewed(self, leases, alive) -> None:
        """A heartbeat promises anew; it must not renew what is somebody else's."""
        for lease in leases:
            if lease.session_id in alive:
                demand(
                    lease.fence == self.fences[lease.session_id],
                    f"{lease.session_id}: an old lease was renewed",
                )
                self.promise(lease)

    def returned(self, leases) -> None:
        """Given back by its holder: nothing is promised any more."""
        for lease in leases:
            promise = self.promises.get(lease.session_id)
            if promise is not None and promise.fence == lease.fence:
                del self.promises[lease.session_id]

    def appended(self, lease, entries, answer, *, parked: bool) -> None:
        """No row of an old fence; an idle never lists what has been answered."""
        session = self.world.log.sessions[lease.session_id]
        grown = len(session.events) - self.rows.get(lease.session_id, 0)
        if grown:
            demand(
                lease.fence == self.fences[lease.session_id],
                f"{lease.session_id}: a row of fence {lease.fence}, the newest is "
                f"{self.fences[lease.session_id]}",
            )
        self.rows[lease.session_id] = len(session.events)
        if parked and not answer.refused:
            self.returned([lease])
        if not answer.refused:
            self.nothing_answered_is_listed(session, entries)
            self.outputs_come_first(session, entries)
            self.appends += 1
            if self.appends % SAMPLED == 0:
                self.row_repeats_the_log(session)

    def nothing_answered_is_listed(self, session, entries) -> None:
        """Neither in the log nor waiting in the inbox."""
        for entry in entries:
            reason = entry.payload.get("stop_reason") or {}
            if entry.type == "session.status_idle" and reason["type"] == "requires_action":
                again = set(reason["event_ids"]) & answered_calls(session)
                demand(not again, f"an idle lists calls that are answered: {sorted(again)}")

    def outputs_come_first(self, session, entries) -> None:
        """An idle comes after the outputs of every call that the log has a result of."""
        if not any(entry.type == "session.status_idle" for entry in entries):
            return
        session_id = session.row.id
        handed = self.world.handed.get(session_id, set())
        lying = self.world.sandbox.files.get(session_id, {})
        late = {call for event in session.events if (call := answers(event)) in lying}
        demand(
            handed is None or late <= handed,
            f"idle before these outputs were handed over: {sorted(late - (handed or set()))}",
        )

    def row_repeats_the_log(self, session) -> None:
        """Columns equal what the log says (the door may have said `running` ahead of it)."""
        record = replace(session.record(), inbox=())
        derived = derive(from_record(self.world.any_ports, record))
        row = session.row
        demand(
            (row.status, row.stop_reason, row.asks)
            == (derived.status, derived.stop_reason, derived.asks),
            f"row says {row.status} {row.stop_reason} {row.asks}, log says {derived}",
        )
        demand(
            row.list_cost == derived.list_cost,
            f"the row's cost {row.list_cost} is not the log's {derived.list_cost}",
        )
        if derived.active_since is None:
            demand(dict(row.usage) == dict(derived.usage), "the row's usage is not the log's")

    def caught_up(self, state) -> None:
        """The state a worker keeps equals the fold of the log it has read."""
        self.states += 1
        if self.states % SAMPLED:
            return
        session = self.world.log.sessions[state.session_id]
        record = replace(
            session.record(),
            events=tuple(session.events[: state.seq]),
            inbox=(),
            budget=session.new.budget,
        )
        folded = from_record(self.world.any_ports, record)
        for name in vars(folded):
            if name in ("inbox", "attempts", "repositories", "stopped"):
                continue
            kept, read = getattr(state, name), getattr(folded, name)
            demand(kept == read, f"live state differs from the log in {name}: {kept} != {read}")


def seq_is_gapless(world) -> None:
    """From 1, without a gap; no id twice."""
    for session in world.log.sessions.values():
        numbers = [event.seq for event in session.events]
        demand(numbers == list(range(1, len(numbers) + 1)), f"seq has gaps: {numbers}")
        ids = Counter(event.id for event in session.events)
        twice = [each for each, count in ids.items() if count > 1]
        demand(not twice, f"ids written twice: {twice}")


def every_use_is_answered_once(world) -> None:
    """Exactly once; but for those that wait, or wait for a sibling, in a session that says so.

    A client's answer may lose the race against the platform's own result (an interrupt); it is in
    the log because it was accepted, and has no effect.
    """
    for session in world.log.sessions.values():
        results: Counter[str] = Counter()
        from_clients: Counter[str] = Counter()
        for event in session.events:
            call = answers(event)
            if call and event.type.startswith("user."):
                from_clients[call] += 1
                demand(from_clients[call] == 1, f"two answers of clients to {call} were taken in")
            if call and not (event.type.startswith("user.") and results[call]):
                results[call] += 1
        waiting = {ask.id for ask in session.row.asks}
        stopped = {ask.thread_id for ask in session.row.asks}
        uses = {event.id: event.thread_id for event in session.events if event.type in USES}
        demand(results.keys() <= uses.keys(), f"results without a use: {results}")
        for use, thread_id in uses.items():
            low, high = (0, 0) if use in waiting else (0 if thread_id in stopped else 1, 1)
            demand(low <= results[use] <= high, f"{use} has {results[use]} results")


def results_follow_in_their_thread(world) -> None:
    """A result comes after its use and in the same thread."""
    for session in world.log.sessions.values():
        seen = {}
        for event in session.events:
            if event.type in USES:
                seen[event.id] = event.thread_id
            elif call := answers(event):
                demand(seen.get(call) == event.thread_id, f"result of {call} in a wrong place")


def tools_ran_at_most_once(world) -> None:
    """And only those that were allowed to."""
    twice = [call for call, count in world.sandbox.executed.items() if count > 1]
    demand(not twice, f"executed twice: {twice}")
    allowed, elsewhere = set(), set()
    for session in world.log.sessions.values():
        for event in session.events:
            if event.type == "agent.tool_use" and event.payload["evaluated_permission"] == "allow":
                allowed.add(event.id)
            if event.type == "user.tool_confirmation" and event.payload["result"] == "allow":
                allowed.add(event.payload["tool_use_id"])
            if event.type == "agent.tool_use" and hosted(session):
                elsewhere.add(event.id)
    wild = set(world.sandbox.executed) - allowed
    demand(not wild, f"executed without permission: {wild}")
    ours = set(world.sandbox.executed) & elsewhere
    demand(not ours, f"executed here instead of by the self-hosted worker: {ours}")


def answered_calls(session) -> set[str]:
    """Calls with an answer in log or inbox; what is allowed to a self-hosted worker still waits."""
    entries = [*session.events, *session.inbox]
    allowed = {
        entry.payload["tool_use_id"]
        for entry in entries
        if entry.type == "user.tool_confirmation" and entry.payload["result"] == "allow"
    }
    elsewhere = {
        entry.id
        for entry in session.events
        if entry.type == "agent.tool_use" and entry.payload["name"] in HANDS and hosted(session)
    }
    resulted = {call for entry in entries if (call := answers(entry))}
    return resulted | (session.settled_calls() - (allowed & elsewhere))


def hosted(session) -> bool:
    """Whether a self-hosted worker runs its tools."""
    return self_hosted(session.row.environment)


def servers_were_called_at_most_once(world) -> None:
    """But for tools that they mark as harmless to repeat; and only for calls that were allowed."""
    executed = world.servers.executed
    twice = [
        key for key, count in executed.items() if count > 1 and not SERVER_TOOLS.get(key[1], False)
    ]
    demand(not twice, f"servers called twice: {twice}")
    uses, allowed = {}, set()
    for session in world.log.sessions.values():
        for event in session.events:
            payload = event.payload
            if event.type == "agent.mcp_tool_use":
                call = ServerCall(payload["mcp_server_name"], payload["name"], payload["input"])
                uses[event.id] = call.key
                if payload["evaluated_permission"] == "allow":
                    allowed.add(call.key)
            if event.type == "user.tool_confirmation" and payload["result"] == "allow":
                allowed.add(uses.get(payload["tool_use_id"]))
    wild = set(executed) - allowed
    demand(not wild, f"servers called without permission: {wild}")


def calm_servers_are_heard(world) -> None:
    """Where nothing went wrong, no outcome is unknown."""
    if world.troubled:
        return
    for session in world.log.sessions.values():
        for event in session.events:
            text = str(event.payload.get("content", ""))
            lost = event.type == "agent.mcp_tool_result" and "Outcome unknown" in text
            demand(not lost, f"{event.id}: an outcome was given up although nothing had gone wrong")


def troubles_are_told_once(world) -> None:
    """Of each server at most one in a running period."""
    for session in world.log.sessions.values():
        told = set()
        for event in session.events:
            if event.type == "session.status_idle":
                told.clear()
            error = event.payload.get("error") or {}
            name = error.get("mcp_server_name") if event.type == "session.error" else None
            demand(name is None or name not in told, f"told twice that {name} cannot be reached")
            told.add(name)


def requests_were_valid(world) -> None:
    """Each request of each model."""
    for script in world.scripts.values():
        demand(not script.violations, f"invalid model request: {script.violations[:3]}")


def log_folds_to_the_row(world) -> None:
    """Once more at the end, when nothing is in flight."""
    for session in world.log.sessions.values():
        world.watch.row_repeats_the_log(session)


def events_are_in_order(world) -> None:
    """The choreography of wire §7.10."""
    for session in world.log.sessions.values():
        primary, events = session.row.primary_thread_id, session.events
        for complaint in order.complaints(primary, events, hosted=hosted(session)):
            raise Violation(f"{session.row.id}: {complaint}")


def nothing_accepted_is_lost(world) -> None:
    """Everything the door queued is in the log, once; or waits behind calls that wait for the client."""
    for client in world.clients:
        written = Counter(event.id for event in client.session.events)
        if client.session.row.asks:
            written.update(pending.id for pending in client.session.inbox)
        for event_id in client.accepted:
            demand(written[event_id] == 1, f"{event_id} was accepted and is not in the log")


def every_message_is_answered(world) -> None:
    """By a model request, or it says why not (interrupted, retries exhausted, terminated)."""
    for session in world.log.sessions.values():
        for number, event in enumerate(session.events):
            if event.type in ("user.message", "agent.thread_message_received"):
                rest = session.events[number + 1 :]
                demand(
                    met(event, rest), f"{event.id} ({event.payload['content']}) was not answered"
                )


def met(message, rest) -> bool:
    """Whether what follows a message deals with it."""
    for event in rest:
        mine = event.thread_id == message.thread_id
        if event.type == "span.model_request_start" and mine:
            return True
        if event.type in ("user.interrupt", "session.status_terminated"):
            return True
        if event.type == "session.thread_status_idle" and mine and stopped_at_cap(event):
            return True
        error = event.payload.get("error") or {}
        if event.type == "session.error" and mine and "repository_url" not in error:
            return error["retry_status"]["type"] == "exhausted"
    return False


def stopped_at_cap(event) -> bool:
    """Whether this idle is for the budget."""
    return event.payload["stop_reason"]["type"] == "budget_reached"


def cost_of(event) -> int:
    """What an event tells of cost, in picodollars."""
    private = event.private or {}
    return (private.get("list_cost") or 0) + ((private.get("judge") or {}).get("list_cost") or 0)


def cap_of(budget) -> float:
    """Picodollars."""
    return float("inf") if budget is None else int(budget["max_list_cost"]["amount"]) * 10**10


def the_judge_is_obeyed(world) -> None:
    """What it has said is what counts; without its word the client is asked."""
    for session in world.log.sessions.values():
        for event in session.events:
            evaluation = event.payload.get("evaluation") or {}
            if event.type not in USES or evaluation.get("type") != "auto":
                continue
            record = (event.private or {}).get("judge") or {}
            said = decision(event.payload["input"]) if "decision" in record else "ask"
            demand(world.scenario.judged or not record, f"{event.id} was judged by nobody")
            given = event.payload["evaluated_permission"]
            demand(given == said, f"{event.id}: the judge said {said}, the call got {given}")


def budgets_are_kept(world) -> None:
    """No request begins at the cap; one may that was decided on before the cap was changed."""
    for session in world.log.sessions.values():
        cost, cap, earlier = 0, cap_of(session.new.budget), 0.0
        for event in session.events:
            if event.type == "session.updated" and "budget" in event.payload:
                cap, earlier = cap_of(event.payload["budget"]), max(cap, earlier)
            if event.type == "span.model_request_start":
                demand(
                    cost < max(cap, earlier),
                    f"{session.row.id}: a request begins at a cost of {cost}, the cap is {cap}",
                )
                earlier = 0.0
            cost += cost_of(event)
        if session.row.list_cost is not None:
            demand(
                cost == session.row.list_cost,
                f"{session.row.id}: the requests cost {cost}, the row says {session.row.list_cost}",
            )


STOPS = {"session.status_idle", "session.status_rescheduled", "session.status_terminated"}


def time_is_kept(world) -> None:
    """No request begins once the session has run as long as it may."""
    for session in world.log.sessions.values():
        extension = session.new.environment.get("agentstead") or {}
        limit = extension.get("limits", {}).get("session_seconds")
        ran, since = 0.0, None
        for event in session.events if limit else ():
            if event.type == "session.status_running" and since is None:
                since = event.at
            elif event.type in STOPS and since is not None:
                ran, since = ran + event.at - since, None
            if event.type == "span.model_request_start":
                now = ran + (0.0 if since is None else event.at - since)
                demand(
                    now < limit,
                    f"{session.row.id}: a request begins after {now:g} s, {limit:g} are allowed",
                )


def pauses_end_with_room(world) -> None:
    """What a budget has stopped goes on once there is room, unless the client stops it for good."""
    for session in world.log.sessions.values():
        cost, paused = 0, set()
        for number, event in enumerate(session.events):
            cost += cost_of(event)
            if event.type == "session.thread_status_idle" and stopped_at_cap(event):
                paused.add(event.thread_id)
            rebudgeted = event.type == "session.updated" and "budget" in event.payload
            if rebudgeted and cost < cap_of(event.payload["budget"]):
                rest = session.events[number + 1 :]
                for thread_id in paused:
                    demand(
                        any(goes_on(each, thread_id) for each in rest),
                        f"{thread_id} does not go on although the budget has room",
                    )
                paused.clear()


def goes_on(event, thread_id: str) -> bool:
    """Whether this thread's work goes on with this event, or is given up."""
    if event.type == "user.interrupt":
        return event.payload.get("session_thread_id") in (None, thread_id)
    if event.type == "session.thread_status_idle" and event.thread_id == thread_id:
        return event.payload["stop_reason"]["type"] == "retries_exhausted"
    return event.type == "span.model_request_start" and event.thread_id == thread_id


def repositories_come_first(world) -> None:
    """No model is asked before each repository lies in its place, or was given up for this turn."""
    for session in world.log.sessions.values():
        given_up = set()
        for event in session.events:
            if event.type == "session.status_idle":
                given_up.clear()
            kept = (event.private or {}).get("repository")
            if kept is not None and kept["retry_at"] is None:
                given_up.add(kept["id"])
            if event.type != "span.model_request_start":
                continue
            for one in session.row.resources:
                placed_at = world.checkouts.placed.get((session.row.id, one["id"]))
                there = placed_at is not None and placed_at <= event.at
                demand(there or one["id"] in given_up, f"the model is asked without {one['url']}")


def circles_end(world) -> None:
    """No call fails more than twice as often in a row as the model is warned, within one turn."""
    limit = 2 * world.pace.repeats_max
    for session in world.log.sessions.values():
        uses, rows = {}, {}
        for event in session.events:
            if event.type == "agent.tool_use":
                asked = event.payload["name"], str(event.payload["input"])
                uses[event.id] = (event.thread_id, *asked)
            if event.type in ("user.message", "session.thread_status_idle"):
                reason = (event.payload.get("stop_reason") or {}).get("type")
                if reason not in ("requires_action", "budget_reached"):
                    rows.clear()
            use = uses.get(event.payload.get("tool_use_id"))
            if event.type == "agent.tool_result" and use is not None:
                said = str(event.payload["content"])
                known, count = rows.get(use, (said, 0))
                failed = event.payload["is_error"]
                rows[use] = (said, (count + 1 if known == said else 1) if failed else 0)
                demand(rows[use][1] <= limit, f"{use} failed {rows[use][1]} times in a row")


AT_THE_END = (
    circles_end,
    seq_is_gapless,
    results_follow_in_their_thread,
    every_use_is_answered_once,
    tools_ran_at_most_once,
    servers_were_called_at_most_once,
    calm_servers_are_heard,
    troubles_are_told_once,
    requests_were_valid,
    log_folds_to_the_row,
    events_are_in_order,
    nothing_accepted_is_lost,
    every_message_is_answered,
    the_judge_is_obeyed,
    budgets_are_kept,
    time_is_kept,
    pauses_end_with_room,
    repositories_come_first,
)


def unsettled(world) -> str | None:
    """Why not every session is idle or says why it waits; None when all do."""
    for session in world.log.sessions.values():
        row, where = session.row, session.row.id
        if row.status == "terminated":
            continue
        if row.status != "idle":
            return f"{where} is {row.status} (lease {session.lease}, wake at {row.wake_at})"
        if session.inbox and not row.asks:
            return f"{where} has input nobody takes in: {[each.type for each in session.inbox]}"
        if session.lease is not None:
            return f"{where} is idle and claimed"
        if row.wake_at is not None:
            return f"{where} is idle and wants to be woken"
        reason = (row.stop_reason or {}).get("type")
        if session.events and (reason == "requires_action") != bool(row.asks):
            return f"{where}: stopped for {reason} with open asks {row.asks}"
        if reason == "budget_reached" and (row.list_cost or 0) < cap_of(row.budget):
            return f"{where} stands still at a budget that has room"
        if reason == "budget_reached" and world.will_raise(row.id):
            return f"{where} stands still at a budget that will be raised"
        if pending := {ask.id for ask in row.asks} - world.silent():
            return f"{where} waits for answers that will come: {pending}"
    return None
