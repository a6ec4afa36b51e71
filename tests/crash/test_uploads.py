"""A server that streams large uploads, and what is left of one when client or server die in it."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Platform, quick_platform
from tests.support.sandboxes import needed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.xdist_group("processes")]

SIZE = 64 << 20
ROOM = 24 << 20
"""What the server's memory may grow by while it takes SIZE in and hands it out."""


CAT = {"tools": [{"name": "bash", "input": {"command": "cat /mnt/session/uploads/a"}}]}
SCENARIO = {"scripts": [{"turns": [CAT, {"text": "{{results}}"}]}]}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Platform]:
    (tmp_path / "scenario.json").write_text(json.dumps(SCENARIO))
    said = str(tmp_path / "scenario.json")
    with quick_platform(uploads_downloadable="true", scripted_file=said) as made:
        made.serve()
        yield made


def memory(pid: int, field: str = "VmHWM") -> int:
    """Bytes of a process's memory: the peak (VmHWM), or now (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no {field}")


def bodies(place: Platform) -> list[Path]:
    """What lies in the blob store."""
    return [path for path in (place.data_dir / "blobs").rglob("*") if path.is_file()]


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def half_an_upload(place: Platform) -> socket.socket:
    """A connection on which half of a file has been sent."""
    host, port = place.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    connection.sendall(
        f"POST /v1/files HTTP/1.1\r\nHost: x\r\nx-api-key: {place.key}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\n"
        f"Content-Length: {SIZE}\r\n\r\n".encode()
        + head
    )
    for _ in range(8):
        connection.sendall(os.urandom(1 << 20))
    until(lambda: any(path.stat().st_size > 4 << 20 for path in bodies(place)), "nothing came")
    return connection


def test_a_large_file_is_never_in_memory(place: Platform, tmp_path: Path) -> None:
    client = place.client()
    client.files.upload(file=("warm", b"x" * (2 << 20)))
    whole = tmp_path / "large"
    with whole.open("wb") as out:
        for _ in range(SIZE >> 20):
            out.write(os.urandom(1 << 20))
    pid = place.server.pid
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before = memory(pid)
    file = client.files.upload(file=whole)
    assert file.size_bytes == SIZE
    with client.files.with_streaming_response.download(file.id) as answer:
        answer.stream_to_file(tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == whole.read_bytes()
    assert memory(pid) - before < ROOM


def test_a_client_that_goes_away_leaves_nothing(place: Platform) -> None:
    half_an_upload(place).close()
    until(lambda: not bodies(place), "half a file stays")
    assert place.client().files.list().data == []


def test_a_server_that_is_killed_leaves_a_draft_that_is_swept_up(place: Platform) -> None:
    whole = place.client().files.upload(file=("whole", b"whole"))
    with half_an_upload(place):
        place.server.kill()
    assert min(path.parent.name for path in bodies(place)) == ".incoming"
    for path in bodies(place):
        os.utime(path, (1, 1))
    (place.data_dir / "serve.json").unlink(missing_ok=True)
    place.serve()
    assert [file.id for file in place.client().files.list()] == [whole.id]
    until(lambda: len(bodies(place)) == 1, "the draft stays")
    assert place.client().files.download(whole.id).read() == b"whole"


def test_a_file_that_is_detached_from_an_idle_session_is_gone_at_once(place: Platform) -> None:
    asyncio.run(needed())
    client = place.client()
    beta = client.beta
    file = client.files.upload(file=("a", b"words"))
    agent = beta.agents.create(
        name="a", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
    )
    session = beta.sessions.create(
        agent=agent.id,
        environment_id=beta.environments.create(name="e").id,
        resources=[
            {"type": "file", "file_id": file.id, "mount_path": name} for name in ("a", "d/b")
        ],
    )
    said: list[str] = []
    with beta.sessions.events.stream(session.id) as stream:
        content: list[Any] = [{"type": "text", "text": "go"}]
        beta.sessions.events.send(session.id, events=[{"type": "user.message", "content": content}])
        for event in stream:
            if event.type == "agent.message":
                said.append(event.content[0].text)
            if event.type == "session.status_idle":
                break
    assert "words" in said[-1]
    lying = place.data_dir / "sandboxes" / session.id / "files" / "uploads"
    assert sorted(path.name for path in lying.iterdir()) == ["a", "d"]
    beta.sessions.resources.delete(session.resources[1].id, session_id=session.id)
    until(lambda: [path.name for path in lying.iterdir()] == ["a"], "it still lies there")
