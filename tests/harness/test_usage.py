"""Adding up tokens."""

from agentstead.harness import usage

ONE = {
    "input_tokens": 10,
    "output_tokens": 2,
    "cache_read_input_tokens": 5,
    "cache_creation_5m_input_tokens": 3,
    "cache_creation_1h_input_tokens": None,
    "cache_creation_input_tokens": 3,
}


def test_requests_add_up():
    total = usage.add(usage.add(None, ONE), ONE)
    assert (total["input_tokens"], total["cache_creation_5m_input_tokens"]) == (20, 6)
    assert total["cache_creation_1h_input_tokens"] == 0


def test_on_the_wire_nothing_is_null():
    assert usage.on_wire(usage.add(None, ONE), 1.23456) == {
        "input_tokens": 10,
        "output_tokens": 2,
        "cache_read_input_tokens": 5,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
        "active_seconds": 1.235,
    }
    assert usage.on_wire(None, 0)["input_tokens"] == 0
