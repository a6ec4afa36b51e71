"""Metrics are what the appended events say, and nothing a user wrote becomes a label."""

from prometheus_client.parser import text_string_to_metric_families

from agentstead.telemetry import metrics as module
from agentstead.telemetry import names
from agentstead.telemetry.metrics import Metrics
from agentstead.wire.events.stored import Event


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """The value of one sample as a scraper reads it."""
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return None


def event(type_: str, id_: str = "sevt_1", at: float = 0.0, **payload: object) -> Event:
    return Event(id=id_, type=type_, thread_id="sthr_1", payload=payload, at=at)


def test_events_are_counted_by_type() -> None:
    metrics = Metrics()
    metrics.appended([event("user.message"), event("user.message"), event("agent.message")])
    assert value(metrics, names.EVENTS, type="user.message") == 2
    assert value(metrics, names.EVENTS, type="agent.message") == 1


def test_a_tool_result_is_counted_under_the_name_of_its_call() -> None:
    metrics = Metrics()
    metrics.appended([event("agent.tool_use", "sevt_a", name="bash", input={})])
    metrics.appended([event("agent.tool_result", "sevt_b", tool_use_id="sevt_a", is_error=True)])
    metrics.appended([event("agent.tool_result", "sevt_c", tool_use_id="sevt_elsewhere")])
    assert value(metrics, names.TOOL_CALLS, tool="bash", outcome="error") == 1
    assert value(metrics, names.TOOL_CALLS, tool="unknown", outcome="ok") == 1


def test_names_that_users_choose_make_no_series() -> None:
    metrics = Metrics()
    metrics.appended(
        [
            event("agent.custom_tool_use", "sevt_a", name="my_secret_tool", input={}),
            event("user.custom_tool_result", "sevt_b", custom_tool_use_id="sevt_a"),
        ]
    )
    assert value(metrics, names.TOOL_CALLS, tool="custom", outcome="ok") == 1
    assert b"my_secret_tool" not in metrics.render()


def test_names_that_models_make_up_make_no_series() -> None:
    metrics = Metrics()
    metrics.appended([event("agent.tool_use", "sevt_a", name="mcp__docs__gone", input={})])
    metrics.appended([event("agent.tool_result", "sevt_b", tool_use_id="sevt_a", is_error=True)])
    assert value(metrics, names.TOOL_CALLS, tool="unknown", outcome="error") == 1
    assert b"mcp__docs__gone" not in metrics.render()


def test_model_requests_are_timed_and_their_tokens_added() -> None:
    metrics = Metrics()
    usage = {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 2}
    metrics.appended([event("span.model_request_start", "sevt_s", at=10.0)])
    end = {"model_request_start_id": "sevt_s", "is_error": False, "model_usage": usage}
    metrics.appended([event("span.model_request_end", "sevt_e", at=12.5, **end)])
    assert value(metrics, names.MODEL_REQUESTS, outcome="ok") == 1
    assert value(metrics, names.MODEL_SECONDS + "_sum") == 2.5
    assert value(metrics, names.MODEL_TOKENS, kind="input") == 7
    assert value(metrics, names.MODEL_TOKENS, kind="cache_read") == 2
    assert value(metrics, names.MODEL_TOKENS, kind="cache_creation") == 0


def test_a_state_nobody_is_in_any_more_goes_back_to_zero() -> None:
    metrics = Metrics()
    metrics.census({"running": 2}, 1.5)
    metrics.census({"idle": 2}, 0.0)
    assert value(metrics, names.SESSIONS, state="running") == 0
    assert value(metrics, names.SESSIONS, state="idle") == 2
    assert value(metrics, names.OLDEST_DUE) == 0


def test_two_apps_in_one_process_do_not_share_counters() -> None:
    one, other = Metrics(), Metrics()
    one.claimed(3)
    assert value(one, names.CLAIMS) == 3
    assert value(other, names.CLAIMS) == 0


def test_calls_whose_result_is_written_elsewhere_are_forgotten_in_the_end() -> None:
    kept: dict[str, int] = {}
    for number in range(5):
        module.remember(kept, str(number), number, 3)
    assert list(kept) == ["2", "3", "4"]


def test_work_queues_are_told_by_state() -> None:
    metrics = Metrics()
    metrics.appended([event("agent.tool_use", "sevt_a", name="bash", input={})])
    metrics.appended([event("user.tool_result", "sevt_b", tool_use_id="sevt_a")])
    assert value(metrics, names.TOOL_CALLS, tool="bash", outcome="ok") == 1
    metrics.work_census({"queued": 3, "active": 1}, 12.5, 2)
    assert value(metrics, names.WORK_ITEMS, state="queued") == 3
    metrics.work_census({"active": 1}, 0.0, 0)
    assert value(metrics, names.WORK_ITEMS, state="queued") == 0
    assert value(metrics, names.WORK_ITEMS, state="active") == 1
    assert value(metrics, names.WORK_OLDEST) == 0
    assert value(metrics, names.WORK_POLLING) == 0


def test_queues_of_many_workspaces_are_few_series() -> None:
    metrics = Metrics()
    queues = [(f"wrkspc_{n}", 100 - n, float(n)) for n in range(50)]
    metrics.queues(queues)
    assert value(metrics, names.WAITING, workspace="wrkspc_0") == 100
    assert value(metrics, names.WAITING, workspace="other") == sum(n for _, n, _ in queues[20:])
    assert value(metrics, names.WAITING_OLDEST, workspace="other") == 49
    assert metrics.render().count(b"agentstead_sessions_waiting{") == 21
    metrics.queues([])
    assert metrics.render().count(b"agentstead_sessions_waiting{") == 1
