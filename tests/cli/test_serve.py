"""`agentstead serve` for real: start, refusals, stop, kill, and what comes back."""

import os
import re
import signal
import socket
import stat
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.processes import Platform, alive, eventually, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_the_first_start_shows_the_key_once_and_sigterm_leaves_nothing(nowhere: Platform) -> None:
    server = nowhere.serve()
    database = nowhere.postgres()
    assert database is not None
    with nowhere.http() as client:
        assert client.get("/healthz").status_code == 200
        eventually(lambda: client.get("/readyz").status_code == 200, "readiness for work")
        assert client.get("/v1/agents").json() == {"data": [], "next_page": None}
        assert client.get("/v1/agents", headers={"authorization": "Bearer x"}).status_code == 401
        metrics = client.get("/metrics", headers={"authorization": ""})
        assert 'agentstead_http_requests_total{method="GET",route="/v1/agents",status="401"}' in (
            metrics.text
        )
    key = nowhere.key
    assert stat.S_IMODE((nowhere.data_dir / "local-key").stat().st_mode) == 0o600
    url = nowhere.url
    code, out, err = server.stop()
    assert code == 0, err
    assert out.splitlines()[0] == f"Agentstead is ready at {url}"
    assert key in out
    assert key not in err
    assert not alive(database)
    assert not (nowhere.data_dir / "serve.json").exists()

    started = time.monotonic()
    again = nowhere.serve()
    assert time.monotonic() - started < 10
    with nowhere.http() as client:
        assert client.get("/v1/agents").status_code == 200
    assert key not in again.stop()[1]


def test_the_operators_own_key_is_used_and_never_shown(platform: Platform) -> None:
    server = platform.serve(AGENTSTEAD_API_KEY="my-own-key-0123456789")
    with platform.http("my-own-key-0123456789") as client:
        assert client.get("/v1/agents").status_code == 200
    _, out, err = server.stop()
    assert "my-own-key" not in out + err
    assert not (platform.data_dir / "local-key").exists()


def test_a_second_server_on_the_same_data_is_refused(platform: Platform) -> None:
    server = platform.serve()
    second = run("serve", "--port", "0", "--data-dir", str(platform.data_dir))
    assert second.returncode == 1
    assert str(server.pid) in second.stderr
    assert "Traceback" not in second.stderr
    with platform.http() as client:
        assert client.get("/healthz").status_code == 200


def test_a_port_in_use_is_named_and_nothing_is_started(nowhere: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port), "--data-dir", str(nowhere.data_dir))
    assert refused.returncode == 1
    what, remedy = refused.stderr.splitlines()
    assert f"port {port} is in use" in what
    assert "--port" in remedy
    assert nowhere.postgres() is None


def test_a_host_for_others_without_tls_is_refused(nowhere: Platform) -> None:
    refused = run("serve", "--host", "0.0.0.0", "--data-dir", str(nowhere.data_dir))
    assert refused.returncode == 1
    assert "--behind-proxy" in refused.stderr


def test_an_upstream_that_is_the_server_itself_is_refused(nowhere: Platform) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    refused = run(
        "serve", "--port", str(port), "--data-dir", str(nowhere.data_dir),
        ANTHROPIC_BASE_URL=f"http://localhost:{port}",
    )  # fmt: skip
    assert refused.returncode == 1
    assert "this server itself" in refused.stderr


def test_a_database_that_does_not_answer_is_named(nowhere: Platform) -> None:
    refused = run(
        "serve", "--port", "0", "--data-dir", str(nowhere.data_dir),
        "--database-url", "postgresql://nobody@127.0.0.1:1/none",
    )  # fmt: skip
    assert refused.returncode == 1
    assert "--database-url" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_an_external_database_is_served(nowhere: Platform, database_url: str) -> None:
    server = nowhere.serve("--database-url", database_url)
    with nowhere.http() as client:
        made = client.post("/v1/environments", json={"name": "outside"})
        assert made.status_code == 200
    assert not (nowhere.data_dir / "postgres").exists()
    assert server.stop()[0] == 0


def test_killed_and_started_again_it_has_its_data_and_adopts_the_database(
    platform: Platform,
) -> None:
    server = platform.serve()
    with platform.http() as client:
        made = client.post("/v1/environments", json={"name": "kept"}).json()
    database = platform.postgres()
    server.stop(signal.SIGKILL)
    assert database is not None
    assert alive(database)

    platform.serve()
    assert platform.postgres() == database
    with platform.http() as client:
        assert client.get(f"/v1/environments/{made['id']}").json()["name"] == "kept"


def test_a_database_that_is_killed_comes_back(platform: Platform) -> None:
    platform.serve()
    database = platform.postgres()
    assert database is not None
    with platform.http() as client:
        made = client.post("/v1/environments", json={"name": "kept"}).json()
        os.kill(database, signal.SIGKILL)

        def answers() -> bool:
            try:
                return client.get(f"/v1/environments/{made['id']}").status_code == 200
            except httpx2.TransportError:
                return False

        eventually(lambda: platform.postgres() not in {None, database} and answers(), "a new start")


def test_an_open_stream_does_not_hold_up_the_end(platform: Platform) -> None:
    server = platform.serve()
    with platform.http() as client:
        environment = client.post("/v1/environments", json={"name": "e"}).json()
        agent = client.post("/v1/agents", json={"name": "a", "model": "scripted-demo"}).json()
        body = {"agent": agent["id"], "environment_id": environment["id"]}
        session = client.post("/v1/sessions", json=body).json()
        path = f"/v1/sessions/{session['id']}/events/stream"
        with client.stream("GET", path) as stream:
            assert stream.status_code == 200
            started = time.monotonic()
            assert server.stop()[0] == 0
            assert time.monotonic() - started < 5


def test_log_lines_are_json_and_hold_no_key(platform: Platform) -> None:
    import json

    server = platform.serve()
    _, out, err = server.stop()
    lines = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in lines] == ["ready", "stopping", "stopped"]
    (key,) = re.findall(r"sk-as-\S+", out)
    assert key not in err


def test_the_data_directory_is_private(nowhere: Platform) -> None:
    nowhere.serve()
    mode = stat.S_IMODE(nowhere.data_dir.stat().st_mode)
    assert mode == (0o711 if os.geteuid() == 0 else 0o700)
    open_to_others = [
        path.name
        for path in Path(nowhere.data_dir).iterdir()
        if path.is_file() and path.stat().st_mode & 0o077
    ]
    assert open_to_others == []
