"""Requests that no client of ours would send: broken JSON, odd paths and queries, wrong methods.

Promises: no 5xx, no hang, an answer in the wire's shape; and whoever does not speak HTTP at all
leaves a server behind that still answers.
"""

import json
import re
import socket
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentstead.resources import ROUTERS
from tests.fuzz.answers import STREAM, judge
from tests.fuzz.budget import SECONDS, examples
from tests.fuzz.garden import Garden, agent_body, says
from tests.support.server import MODEL, Running

pytestmark = pytest.mark.timeout(SECONDS)
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")
ROUTES = sorted((route.method, route.path) for router in ROUTERS for route in router.routes)
PATHS = sorted({path for _, path in ROUTES})
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE")
RAW = "\x00raw"
"""Where a fragment that is no JSON value will stand in a body."""

TEMPLATES: tuple[tuple[str, Any], ...] = (
    ("/v1/agents", {**agent_body(), "system": "s", "description": None, "skills": []}),
    ("/v1/agents/{agent_id}", {"version": 1, "name": "b", "metadata": {"k": "v"}}),
    ("/v1/environments", {"name": "e", "config": {"type": "cloud", "packages": {"pip": ["a"]}}}),
    ("/v1/environments/{environment_id}", {"metadata": {"k": None}}),
    ("/v1/sessions", {"agent": "{agent_id}", "environment_id": "{environment_id}", "title": "t",
                      "metadata": {}, "initial_events": [says("hi")]}),
    ("/v1/sessions/{session_id}", {"title": "t", "metadata": {"a": None}, "agent": {"tools": []}}),
    ("/v1/sessions/{session_id}/events", {"events": [says("hi")]}),
    ("/v1/sessions/{session_id}/events", {"events": [
        {"type": "user.custom_tool_result", "custom_tool_use_id": "{call}", "is_error": False,
         "content": [{"type": "text", "text": "x"}]},
        {"type": "user.tool_confirmation", "tool_use_id": "{call}", "result": "deny",
         "deny_message": "no"}, {"type": "user.interrupt", "session_thread_id": None}]}),
)  # fmt: skip
FRAGMENTS = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1" * 5000, "-" + "9" * 400, "0.1e-5000",
    "1.0", "01", "+1", "0x1", "true", "null", "{}", "[]", '""', '" "', '"\\u0000"', '"\\ud800"',
    '"\\udfff\\ud800"', '"\\ud83d\\ude00"', '"\ufeff"', '"\\u202e"', '"a\nb"', '"\\x00"', "'a'",
    '"unfinished', "{", "[", "[1,]", '{"a":1,}', "undefined", "// no", "",
    '{"type":"user.message","type":"user.interrupt"}', '{"type":{"type":{}}}', '{"\\ud800":1}',
    '{"":null}', '{"__proto__":{}}', '{"\\u0000":"a"}', '"' + "x" * 300_000 + '"',
    "[" * 200 + "]" * 200, '{"a":' * 150 + "1" + "}" * 150, "[" * 100_000,
    '"' + "é" * 5000 + '"', '["' + '","'.join(map(str, range(2000))) + '"]',
)  # fmt: skip
"""Values, and things that are none, for one place of a body."""
WHOLE = (
    b"", b" ", b"null", b"[]", b'"x"', b"1", b"true", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}",
    b"\x00", b"{}{}", b'{"name":"a"', b"\x80\x81", b"a=1&b=2", b"--x\r\n", b'{"name":"\xc3\x28"}',
    b"[" * 1_000_000, b'{"a":' * 100_000, b'{"name":"a","name":"b","model":"' + MODEL.encode() + b'"}',
    json.dumps(agent_body()).encode("utf-16"), json.dumps(agent_body()).encode("utf-32"),
)  # fmt: skip
CONTENT_TYPES = (
    "application/json", "application/json; charset=utf-16", "text/plain", "application/xml",
    "multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
    "*/*", "nonsense", "",
)  # fmt: skip
SEGMENTS = (
    "..", ".", "%2e%2e", "%2F", "%00", "%", "%zz", "%ff%fe", "a%0d%0ab", "sesn_", "sesn_01",
    "x" * 3000, "%F0%9F%A4%96", "'", "';drop table events--", "{session_id}", "null", "-1", "*",
    "sesn_01%20", ":", "@", "a,b", "%25", "%3F", "stream", "poll", "stats", "versions",
)  # fmt: skip
VALUES = (
    "", "0", "1", "-1", "1.5", "1e999", "9" * 40, "NaN", "true", "null", "%00", "%ff", "\\ud800",
    "desc", "ASC", "page_", "page_%00", "page_bnVsbA", "page_W10", "page_WzEsMiwzLDRd", "page_" + "A" * 5000,
    "2026-01-01T00:00:00Z", "2026-01-01", "0000-00-00T00:00:00Z", "9999-12-31T23:59:60-23:59", "now",
    "2026-02-30T00:00:00Z", "2026-01-01T00:00:00%2B99:99", "1" * 30 + "-01-01T00:00:00Z", "idle",
)  # fmt: skip
NAMES = (
    "limit", "page", "order", "beta", "statuses[]", "statuses", "types[]", "types", "event_deltas[]",
    "created_at[gte]", "created_at[lt]", "created_at", "created_at[", "created_at[gte][lt]",
    "include_archived", "agent_id", "agent_version", "version", "block_ms", "after", "until", "[]", "", "%00", "a%5B%5D",
)  # fmt: skip


class Wire:
    """Sends bytes as they are, with a valid key."""

    def __init__(self, running: Running, garden: Garden) -> None:
        self.garden = garden
        self.seen: Counter[int] = Counter()
        self.http = httpx2.Client(
            base_url=running.url, headers={"x-api-key": running.key}, timeout=10, trust_env=False
        )

    def fill(self, text: str) -> str:
        """Real ids where a template names them."""
        for name, ids in self.garden.ids.items():
            text = text.replace(f"{{{name}}}", ids[0])
        return text.replace("{call}", self.garden.calls[0])

    def send(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Any:
        """One request; judged."""
        url = self.http.base_url.copy_with(raw_path=target.encode("ascii", "replace"))
        request = self.http.build_request(method, url, content=body, headers=headers)
        answer = self.http.send(request, stream=True)
        try:
            streams = answer.headers.get("content-type", "").startswith(STREAM)
            found = None if streams or method == "HEAD" else answer.read()
            if method == "HEAD":
                found = b""
                if streams:
                    return
            judge(method, answer.status_code, answer.headers, found)
            self.seen[answer.status_code] += 1
        finally:
            answer.close()


@pytest.fixture
def wire(running: Running, garden: Garden) -> Iterator[Wire]:
    made = Wire(running, garden)
    yield made
    made.http.close()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a JSON value."""
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()  # fmt: skip
    for key, each in below:
        yield from places(each, (*path, key))


def put(value: Any, path: tuple[Any, ...], mark: str) -> Any:
    """The value with a mark at this place."""
    if not path:
        return mark
    if isinstance(value, dict):
        return {key: put(each, path[1:], mark) if key == path[0] else each for key, each in value.items()}  # fmt: skip
    return [put(each, path[1:], mark) if key == path[0] else each for key, each in enumerate(value)]


@st.composite
def spoilt(draw: Any) -> tuple[str, bytes]:
    """A path and a body that is right but for one or two places."""
    path, body = draw(st.sampled_from(TEMPLATES))
    fragments = []
    for number in range(draw(st.integers(1, 2))):
        chosen = draw(st.sampled_from([one for one in places(body) if one]))
        body = put(body, chosen, f"{RAW}{number}")
        fragments.append(draw(st.sampled_from(FRAGMENTS)))
    text = json.dumps(body)
    for number, fragment in enumerate(fragments):
        text = text.replace(json.dumps(f"{RAW}{number}"), fragment)
    return path, text.encode()


def test_bodies_with_a_wrong_place(wire: Wire) -> None:
    @examples(200)
    @given(spoilt())
    def attempt(request: tuple[str, bytes]) -> None:
        path, body = request
        wire.send("POST", wire.fill(path), wire.fill(body.decode()).encode(), **{"content-type": "application/json"})  # fmt: skip

    attempt()
    assert wire.seen[200] > 5 < wire.seen[400], wire.seen


def test_bodies_that_are_none(wire: Wire) -> None:
    @examples(150)
    @given(
        st.sampled_from([path for method, path in ROUTES if method != "GET"]),
        st.sampled_from(WHOLE) | st.binary(max_size=200),
        st.sampled_from(CONTENT_TYPES),
        st.sampled_from(("POST", "DELETE")),
    )
    def attempt(path: str, body: bytes, kind: str, method: str) -> None:
        target = PARAMETER.sub("x", path)
        wire.send(method, target, body, **({"content-type": kind} if kind else {}))

    attempt()


def test_the_content_type_is_not_looked_at(wire: Wire) -> None:
    # Clients of old send none; what counts is that the body is JSON.
    for kind in CONTENT_TYPES:
        answer = wire.http.post(
            "/v1/environments", content=b'{"name":"e"}', headers={"content-type": kind}
        )
        assert answer.status_code == 200, (kind, answer.text)


def test_paths_and_queries(wire: Wire) -> None:
    pairs = st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES))
    garbage = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
    queries = st.lists(pairs, max_size=5).map(lambda found: "&".join("=".join(one) for one in found)) | garbage  # fmt: skip

    @examples(200)
    @given(
        st.sampled_from(METHODS),
        st.sampled_from(PATHS),
        st.sampled_from(SEGMENTS) | st.none(),
        queries,
        st.booleans(),
    )
    @example("GET", "/v1/sessions", None, "&".join(["types[]=x"] * 2000), False)
    @example("GET", "/v1/agents", None, "a" * 60_000, False)
    @example("GET", "//v1//agents", None, "", True)
    @example("GET", "/v1/agents/", None, "", False)
    def attempt(method: str, path: str, segment: str | None, query: str, slash: bool) -> None:
        if method == "DELETE" or (method == "POST" and path.endswith("/archive")):
            segment = segment or "x"  # what the garden has is still needed
        filled = wire.fill(path) if segment is None else PARAMETER.sub(lambda _: segment, path)
        query = query.replace("#", "%23").replace(" ", "")
        wire.send(method, filled + "/" * slash + (f"?{query}" if query else ""))

    attempt()


def test_headers(wire: Wire) -> None:
    names = ("anthropic-version", "anthropic-beta", "accept", "content-encoding", "range",
             "if-none-match", "expect", "last-event-id", "idempotency-key", "x-stainless-retry-count",
             "anthropic-worker-id", "accept-encoding", "x-forwarded-for", "origin", "cookie")  # fmt: skip
    printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60).map(str.strip)  # fmt: skip

    @examples(80)
    @given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(names), printable, max_size=3))
    def attempt(path: str, headers: dict[str, str]) -> None:
        wire.send("GET", wire.fill(path), **headers)

    attempt()


GREETINGS = (
    b"\x00" * 100, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /v1/agents HTTP/1.1\r\nhost: x\r\ncontent-length: 99999\r\n\r\n{",
    b"POST /v1/agents HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n{}",
    b"POST /v1/agents HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\n{}\r\n",
    b"POST /v1/agents HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
    b"GET /v1/agents HTTP/1.1\r\nhost: x\r\nx-api-key: \xff\xfe\r\n\r\n",
    b"GET /v1/\xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n", b"GET /" + b"a" * 200_000,
    b"GET /v1/agents HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 5000 + b"\r\n",
)  # fmt: skip


def test_who_does_not_speak_http_harms_nobody(running: Running, wire: Wire) -> None:
    address = urlsplit(running.url)
    for greeting in GREETINGS:
        with socket.create_connection((address.hostname, address.port), timeout=5) as line:
            line.sendall(greeting)
            line.shutdown(socket.SHUT_WR)
            while said := line.recv(65_536):
                assert b" 500 " not in said.partition(b"\r\n")[0], (greeting[:80], said[:300])
        wire.send("GET", "/v1/models")
