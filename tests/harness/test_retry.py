"""Whether and when a failed request is tried again."""

from hypothesis import given
from hypothesis import strategies as st

from agentstead.harness.retry import RetryPolicy, delay_seconds, error_type, tries_again

POLICY = RetryPolicy(retries_max=3, first_seconds=0.5, max_seconds=30.0)


@given(st.integers(1, 200), st.text(max_size=9))
def test_the_delay_doubles_to_a_cap_and_keeps_half_of_it(failures, seed):
    whole = min(0.5 * 2.0 ** (failures - 1), 30.0)
    assert whole / 2 <= delay_seconds(POLICY, failures, None, seed) <= whole


@given(st.integers(1, 9), st.floats(0, 10_000))
def test_the_other_sides_wish_is_kept_within_reason(failures, wish):
    wait = delay_seconds(POLICY, failures, wish, "seed")
    assert wait >= min(wish, 300.0)
    assert wait <= max(30.0, min(wish, 300.0))


def test_the_jitter_is_the_same_for_the_same_request_and_differs_between_requests():
    waits = [delay_seconds(POLICY, 3, None, seed) for seed in ("a", "a", "b")]
    assert waits[0] == waits[1] != waits[2]


def test_it_ends():
    assert [tries_again(POLICY, n, retryable=True) for n in (1, 3, 4)] == [True, True, False]
    assert not tries_again(POLICY, 1, retryable=False)


@given(st.text(max_size=9))
def test_as_configured_they_outlast_a_minute(seed):
    policy = RetryPolicy()
    waits = (delay_seconds(policy, n, None, seed) for n in range(1, policy.retries_max + 1))
    assert sum(waits) > 60


def test_faults_have_the_wires_names():
    assert error_type("overloaded") == "model_overloaded_error"
    assert error_type("billing") == "billing_error"
    assert error_type("cut") == "model_request_failed_error"
