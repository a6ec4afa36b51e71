"""Counters and gauges of one process, in a registry of their own.

Numbers about sessions come from the events themselves (`appended`), so what is in the log is in
the metrics. Gauges that only the database knows are set just before they are read.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from agentstead.errors import Misconfigured
from agentstead.telemetry import names
from agentstead.wire.tool import BUILTIN

CALLS_REMEMBERED_MAX = 10_000
"""Open tool calls whose names are kept to label their results."""
REQUESTS_REMEMBERED_MAX = 10_000
"""Open model requests whose start is kept to time them."""
QUEUES_SHOWN_MAX = 20
"""Workspaces whose queue is shown by itself."""
PICODOLLARS = 10**12
"""In a US dollar."""
SECONDS_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
TOKEN_KINDS = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}
RESULTS = {
    "agent.tool_result": "tool_use_id",
    "agent.mcp_tool_result": "mcp_tool_use_id",
    "user.custom_tool_result": "custom_tool_use_id",
    "user.tool_result": "tool_use_id",
}
FOREIGN = {"agent.mcp_tool_use": "mcp", "agent.custom_tool_use": "custom"}
"""Tools whose names users choose are counted under one label each."""


class Appendable(Protocol):
    """What is read of an event."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def type(self) -> str:
        """Its type."""
        ...

    @property
    def payload(self) -> Mapping[str, Any]:
        """Its public fields."""
        ...

    @property
    def private(self) -> Mapping[str, Any] | None:
        """What the harness keeps with it."""
        ...

    @property
    def at(self) -> float:
        """When, in seconds since the epoch."""
        ...


class Metrics:
    """The metrics of this process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter(names.REQUESTS, "Requests.", "method", "route", "status")
        self.request_seconds = Histogram(
            names.REQUEST_SECONDS,
            "Time to the end of an answer.",
            ["route"],
            registry=self.registry,
        )
        self.events = self._counter(names.EVENTS, "Events appended.", "type")
        self.sessions = self._gauge(names.SESSIONS, "Sessions not archived.", "state")
        self.claims = self._counter(names.CLAIMS, "Sessions claimed.")
        self.leases_lost = self._counter(names.LEASES_LOST, "Appends refused for a newer claim.")
        self.model_requests = self._counter(names.MODEL_REQUESTS, "Model requests.", "outcome")
        self.model_seconds = Histogram(
            names.MODEL_SECONDS,
            "Time of a model request.",
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.tokens = self._counter(names.MODEL_TOKENS, "Tokens.", "kind")
        self.list_cost = self._counter(names.LIST_COST, "Cost at list prices.")
        self.unpriced = self._counter(names.UNPRICED, "Model requests without a list price.")
        self.tool_calls = self._counter(names.TOOL_CALLS, "Tool results.", "tool", "outcome")
        self.mcp_connections = self._counter(
            names.MCP_CONNECTIONS, "Attempts to connect to an MCP server.", "outcome"
        )
        self.mcp_calls = self._counter(names.MCP_CALLS, "Calls of MCP tools.", "outcome")
        self.mcp_seconds = Histogram(
            names.MCP_CALL_SECONDS,
            "Time to the answer of an MCP server.",
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.egress_requests = self._counter(
            names.EGRESS, "Requests of sandboxes to the network.", "decision", "reason"
        )
        self.egress_bytes = self._counter(
            names.EGRESS_BYTES, "Bytes between sandboxes and the network.", "direction"
        )
        self.package_builds = self._counter(
            names.PACKAGE_BUILDS, "Builds of environments' packages.", "outcome"
        )
        self.package_build_seconds = Histogram(
            names.PACKAGE_BUILD_SECONDS,
            "Time of a build of packages.",
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self._of_checkpoints()
        self.subscribers = self._gauge(names.SUBSCRIBERS, "Open event streams.")
        self.oldest_due = self._gauge(names.OLDEST_DUE, "Longest wait of a due session.")
        self.waiting = self._gauge(names.WAITING, "Due sessions without a worker.", "workspace")
        self.waiting_oldest = self._gauge(
            names.WAITING_OLDEST, "Longest wait of them.", "workspace"
        )
        self.work_items = self._gauge(names.WORK_ITEMS, "Live work items.", "state")
        self.work_oldest = self._gauge(names.WORK_OLDEST, "Longest wait of a work item.")
        self.work_polling = self._gauge(names.WORK_POLLING, "Self-hosted workers polling.")
        self._calls: dict[str, str] = {}
        self._starts: dict[str, float] = {}

    def _of_checkpoints(self) -> None:
        self.checkpoints = self._counter(
            names.CHECKPOINTS, "Sandboxes saved and restored.", "what", "outcome"
        )
        self.checkpoint_seconds = Histogram(
            names.CHECKPOINT_SECONDS,
            "Time of a saving or restoring.",
            ["what"],
            buckets=SECONDS_BUCKETS,
            registry=self.registry,
        )
        self.checkpoint_bytes = self._counter(names.CHECKPOINT_BYTES, "Bytes of archives written.")

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def request(self, method: str, route: str, status: int, seconds: float | None) -> None:
        """Count an answered request; `seconds` None: a stream, which is not timed."""
        self.requests.labels(method, route, str(status)).inc()
        if seconds is not None:
            self.request_seconds.labels(route).observe(seconds)

    def claimed(self, count: int) -> None:
        """Count sessions claimed."""
        self.claims.inc(count)

    def lease_lost(self) -> None:
        """Count an append that a newer claim refused."""
        self.leases_lost.inc()

    def mcp_connected(self, outcome: str) -> None:
        """Count an attempt to connect to an MCP server."""
        self.mcp_connections.labels(outcome).inc()

    def mcp_called(self, outcome: str) -> None:
        """Count a call of an MCP server's tool."""
        self.mcp_calls.labels(outcome).inc()

    def egress(self, decision: str, reason: str, count: int) -> None:
        """Count what sandboxes asked of the network."""
        self.egress_requests.labels(decision, reason).inc(count)

    def packages_built(self, outcome: str, seconds: float) -> None:
        """Count a build of packages."""
        self.package_builds.labels(outcome).inc()
        self.package_build_seconds.observe(seconds)

    def moved(self, sent: int, received: int) -> None:
        """Count bytes between sandboxes and the network."""
        self.egress_bytes.labels("sent").inc(sent)
        self.egress_bytes.labels("received").inc(received)

    def checkpoint(
        self, what: str, outcome: str, seconds: float | None = None, stored: int = 0
    ) -> None:
        """Count a sandbox saved or restored; `seconds` None: it was not."""
        self.checkpoints.labels(what, outcome).inc()
        self.checkpoint_bytes.inc(stored)
        if seconds is not None:
            self.checkpoint_seconds.labels(what).observe(seconds)

    def appended(self, events: Iterable[Appendable]) -> None:
        """Count events just appended, and what they say of model requests and tool calls."""
        for event in events:
            self.events.labels(event.type).inc()
            if event.type == "agent.tool_use" or event.type in FOREIGN:
                name = str(event.payload["name"])
                # A model can call a tool by a name that it made up: no label for that.
                tool = FOREIGN.get(event.type) or (name if name in BUILTIN else "unknown")
                remember(self._calls, event.id, tool, CALLS_REMEMBERED_MAX)
                self._cost((event.private or {}).get("judge") or {})
            elif event.type in RESULTS:
                self._answered(event)
            elif event.type == "span.model_request_start":
                remember(self._starts, event.id, event.at, REQUESTS_REMEMBERED_MAX)
            elif event.type == "span.model_request_end":
                self._model_request_ended(event)

    def _cost(self, used: Mapping[str, Any]) -> None:
        if "usage" not in used:
            return
        if used.get("list_cost") is None:
            self.unpriced.inc()
        else:
            self.list_cost.inc(used["list_cost"] / PICODOLLARS)

    def _answered(self, event: Appendable) -> None:
        tool = self._calls.pop(str(event.payload.get(RESULTS[event.type])), "unknown")
        self.tool_calls.labels(tool, "error" if event.payload.get("is_error") else "ok").inc()

    def _model_request_ended(self, event: Appendable) -> None:
        self.model_requests.labels("error" if event.payload.get("is_error") else "ok").inc()
        self._cost(event.private or {})
        started = self._starts.pop(str(event.payload.get("model_request_start_id")), None)
        if started is not None:
            self.model_seconds.observe(max(0.0, event.at - started))
        usage = event.payload.get("model_usage") or {}
        for kind, field in TOKEN_KINDS.items():
            self.tokens.labels(kind).inc(usage.get(field) or 0)

    def census(self, sessions: Mapping[str, int], oldest_due_seconds: float) -> None:
        """Set what only the database knows."""
        for state in ("idle", "running", "rescheduling", "terminated"):
            self.sessions.labels(state).set(sessions.get(state, 0))
        self.oldest_due.set(oldest_due_seconds)

    def queues(self, of: Sequence[tuple[str, int, float]]) -> None:
        """Set the queues of workspaces, the longest first: id, sessions, seconds of the oldest.

        Beyond `QUEUES_SHOWN_MAX` they are one: the number of series stays small.
        """
        self.waiting.clear()
        self.waiting_oldest.clear()
        for name, number, seconds in of[:QUEUES_SHOWN_MAX]:
            self.waiting.labels(name).set(number)
            self.waiting_oldest.labels(name).set(seconds)
        rest = of[QUEUES_SHOWN_MAX:]
        self.waiting.labels("other").set(sum(number for _, number, _ in rest))
        self.waiting_oldest.labels("other").set(max((each[2] for each in rest), default=0.0))

    def work_census(
        self, items: Mapping[str, int], oldest_queued_seconds: float, polling: int
    ) -> None:
        """Set what the work queues look like."""
        for state in ("queued", "starting", "active", "stopping"):
            self.work_items.labels(state).set(items.get(state, 0))
        self.work_oldest.set(oldest_queued_seconds)
        self.work_polling.set(polling)

    @contextmanager
    def shown_on(self, port: int | None) -> Iterator[None]:
        """Show them at `/metrics` on this loopback port for as long as the block runs."""
        if port is None:
            yield
            return
        try:
            server, thread = start_http_server(port, "127.0.0.1", self.registry)
        except OSError as error:
            raise Misconfigured(
                f"Metrics cannot be shown on port {port}: {error.strerror}.\n"
                "Choose another --metrics-port, or none."
            ) from error
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def render(self) -> bytes:
        """All of it in the text format of Prometheus."""
        return generate_latest(self.registry)


Value = TypeVar("Value")


def remember(kept: dict[str, Value], key: str, value: Value, maximum: int) -> None:
    """Keep a value, forgetting the oldest beyond `maximum` (its end was written elsewhere)."""
    kept[key] = value
    if len(kept) > maximum:
        del kept[next(iter(kept))]
