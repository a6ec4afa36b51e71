"""What a client makes of a server's answers, good and bad, against a real socket."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from agentstead.client.place import answers, read_key
from agentstead.client.remote import OPENED, Refused, Remote, Unreachable
from agentstead.errors import Misconfigured

STREAM = (
    b": open\n\n"
    b'event: session.status_running\ndata: {"type":"session.status_running","id":"sevt_1"}\n\n'
    b"event: ping\ndata: 1\n\n"
    b": keep-alive\n\n"
    b'event: agent.message\ndata: {"type":"agent.message","id":"sevt_2","content":[]}\n\n'
)


class Answers(BaseHTTPRequestHandler):
    """Fixed answers by path."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/v1/things":
            page = "page=2" in self.path
            self.say(200, {"data": [2] if page else [1], "next_page": None if page else "2"})
        elif path == "/healthz":
            self.say(200, {"status": "ok"})
        elif path == "/v1/sessions/sesn_1/events/stream":
            assert "event_deltas%5B%5D=agent.message" in self.path
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            self.wfile.write(STREAM)
        elif path == "/html":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")
        elif self.headers["authorization"] != "Bearer good":
            self.say(401, {"error": {"message": "This API key is not valid."}})
        else:
            self.say(404, {"error": {"message": "There is no such thing."}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.say(200, {"got": body})

    def say(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()
    thread.join()


async def test_pages_are_followed_to_the_last(url: str) -> None:
    async with Remote(url, "good") as remote:
        assert [thing async for thing in remote.pages("/v1/things")] == [1, 2]


async def test_a_post_carries_its_body(url: str) -> None:
    async with Remote(url, "good") as remote:
        assert await remote.post("/v1/x", {"a": 1}) == {"got": {"a": 1}}
        assert await remote.post("/v1/x") == {"got": {}}


async def test_a_stream_begins_with_its_opening_and_skips_what_is_no_event(url: str) -> None:
    async with Remote(url, "good") as remote:
        types = [frame["type"] async for frame in remote.events("sesn_1")]
    assert types == [OPENED, "session.status_running", "agent.message"]


async def test_a_refusal_keeps_the_servers_words(url: str) -> None:
    async with Remote(url, "good") as remote:
        with pytest.raises(Refused, match="no such thing") as caught:
            await remote.get("/v1/nothing")
        assert caught.value.status == 404
        with pytest.raises(Refused):
            [frame async for frame in remote.events("sesn_2")]


async def test_a_wrong_key_says_what_to_set(url: str) -> None:
    async with Remote(url, "bad") as remote:
        with pytest.raises(Refused, match="AGENTSTEAD_API_KEY"):
            await remote.get("/v1/nothing")


async def test_something_else_is_told_from_a_server(url: str) -> None:
    async with Remote(url, "good") as remote:
        with pytest.raises(Misconfigured, match="not an Agentstead server"):
            await remote.get("/html")


async def test_nobody_there_is_said_with_the_address() -> None:
    async with Remote("http://127.0.0.1:1", "k") as remote:
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1"):
            await remote.get("/v1/x")
        with pytest.raises(Unreachable):
            [frame async for frame in remote.events("sesn_1")]


async def test_whether_a_server_answers(url: str) -> None:
    assert await answers(url)
    assert not await answers("http://127.0.0.1:1")


def test_a_missing_or_empty_key_file_says_what_to_set(tmp_path: Any) -> None:
    for path, text in ((tmp_path / "none", None), (tmp_path / "empty", " \n")):
        if text is not None:
            path.write_text(text)
        with pytest.raises(Misconfigured, match="AGENTSTEAD_API_KEY"):
            read_key(path, "http://x")


def test_a_key_that_is_none_is_refused_unseen() -> None:
    for key in ("", "canary\n", "can ary", "canäry"):
        with pytest.raises(Misconfigured) as caught:
            Remote("http://127.0.0.1:1", key)
        assert "ary" not in caught.value.message.replace("AGENTSTEAD", "")
