"""Exception → wire error."""

import json

import pytest

from agentstead.api.faults import problem
from agentstead.errors import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    Limited,
    NotFound,
    Precondition,
    StoreFault,
    TooLarge,
    Unauthenticated,
)


# wire §1.5
@pytest.mark.parametrize(
    ("error", "status", "kind", "retry"),
    [
        (Invalid("a: b"), 400, "invalid_request_error", None),
        (Unauthenticated(), 401, "authentication_error", None),
        (Forbidden(), 403, "permission_error", None),
        (NotFound(), 404, "not_found_error", None),
        (Conflict(), 409, "conflict_error", "false"),
        (Precondition(), 412, "invalid_request_error", None),
        (TooLarge(), 413, "request_too_large", None),
        (Limited(), 429, "rate_limit_error", None),
        (StoreFault("x", kind="unavailable", retryable=True), 503, "api_error", "true"),
        (StoreFault("x", kind="full", retryable=True), 503, "api_error", "true"),
        (StoreFault("secret host"), 500, "api_error", "false"),
        (Fault("secret host"), 500, "api_error", "false"),
        (RuntimeError("secret host"), 500, "api_error", None),
    ],
)  # fmt: skip
def test_each_error_has_its_answer(
    error: Exception, status: int, kind: str, retry: str | None
) -> None:
    found = problem(error)
    assert (found.status, found.wire_type) == (status, kind)
    assert found.headers.get("x-should-retry") == retry
    assert "secret" not in found.message
    body = json.loads(found.body("req_1"))
    assert body["request_id"] == "req_1"
    assert body["error"] == {"type": kind, "message": found.message}


def test_a_code_goes_to_the_details() -> None:
    body = json.loads(problem(Invalid("x", code="some_code")).body("r"))
    assert body["error"]["details"] == {"error_code": "some_code"}


def test_what_was_unexpected_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    problem(RuntimeError("the inside"))
    assert "the inside" in caplog.text
