"""What every answer must be, whatever was asked: the wire's shape, an id, and never our own fault."""

import json
from collections.abc import Mapping
from typing import Any

KINDS = {
    400: {"invalid_request_error"},
    401: {"authentication_error"},
    403: {"permission_error"},
    404: {"not_found_error"},
    405: {"invalid_request_error"},
    409: {"conflict_error"},
    412: {"invalid_request_error"},
    413: {"request_too_large"},
    415: {"invalid_request_error"},
    429: {"rate_limit_error"},
}
"""Status → `error.type` (wire §1.5)."""
REPORT = "usage_report"
"""The one answer whose data is whole, and no page."""
STREAM = "text/event-stream"


def judge(method: str, status: int, headers: Mapping[str, str], body: bytes | None) -> Any:
    """The answer's JSON; AssertionError with what is wrong. `body` None: a stream, not read."""
    said = f"{status} {(body or b'')[:500]!r}"
    assert status < 500, said
    assert headers.get("request-id", "").startswith("req_01"), f"no request id: {said}"
    kind = headers.get("content-type", "")
    if body is None:
        assert kind.startswith(STREAM), kind
        assert status == 200, said
        return None
    assert kind == "application/json", f"{kind}: {said}"
    if method == "HEAD":
        assert body == b"", said
        return None
    value = json.loads(body.decode(), parse_constant=refuse, object_pairs_hook=unique)
    if status >= 400:
        error_shape(status, value, headers)
    else:
        assert status == 200, said
        listed = isinstance(value, dict) and isinstance(value.get("data"), list)
        if method == "GET" and listed and value.get("type") != REPORT:
            page_shape(value)
    return value


def refuse(name: str) -> Any:
    """NaN and infinities are no JSON."""
    raise AssertionError(f"{name} in an answer")


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """No field of ours comes twice."""
    found = dict(pairs)
    assert len(found) == len(pairs), f"a field twice: {[name for name, _ in pairs]}"
    return found


def error_shape(status: int, value: Any, headers: Mapping[str, str]) -> None:
    """The error body of wire §1.5."""
    assert set(value) == {"type", "error", "request_id"}, value
    assert value["type"] == "error"
    assert value["request_id"] == headers["request-id"]
    error = value["error"]
    assert set(error) - {"details"} == {"type", "message"}, value
    assert error["type"] in KINDS[status], value
    assert isinstance(error["message"], str)
    assert error["message"].strip(), value
    if "details" in error:
        assert isinstance(error["details"]["error_code"], str), value


def page_shape(value: Mapping[str, Any]) -> None:
    """The envelope of wire §1.8; the Models API has the older one."""
    if value.keys() == {"data", "has_more", "first_id", "last_id"}:
        return
    assert value["next_page"] is None or value["next_page"].startswith("page_"), value["next_page"]
    assert "has_more" not in value
