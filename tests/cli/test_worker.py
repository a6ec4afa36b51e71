"""`agentstead worker` beside a server: it works, hands back, waits, and survives the server's restart."""

import json
from pathlib import Path

import pytest

from tests.support.processes import Platform, eventually, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def start_session(platform: Platform) -> str:
    """A session whose scripted model answers one message."""
    with platform.http() as client:
        environment = client.post("/v1/environments", json={"name": "e"}).json()
        agent = client.post("/v1/agents", json={"name": "a", "model": "scripted-demo"}).json()
        text = {"type": "text", "text": "hello"}
        body = {
            "agent": agent["id"],
            "environment_id": environment["id"],
            "initial_events": [{"type": "user.message", "content": [text]}],
        }
        made = client.post("/v1/sessions", json=body)
        assert made.status_code == 200, made.text
        return str(made.json()["id"])


def idle(platform: Platform, session_id: str) -> bool:
    with platform.http() as client:
        return bool(client.get(f"/v1/sessions/{session_id}").json()["status"] == "idle")


def test_a_server_without_workers_waits_for_one(platform: Platform) -> None:
    platform.serve("--workers", "0")
    session_id = start_session(platform)
    with platform.http() as client:
        why = client.get(f"/v1/sessions/{session_id}/why").json()
        assert why["waiting_for"]["type"] == "worker"
    worker = platform.start("worker")
    eventually(lambda: idle(platform, session_id), "the worker's answer")
    code, out, err = worker.stop()
    assert code == 0, err
    assert str(worker.pid) in out


def test_a_worker_goes_on_after_the_server_was_stopped_and_started(platform: Platform) -> None:
    server = platform.serve("--workers", "0")
    worker = platform.start("worker")
    first = start_session(platform)
    eventually(lambda: idle(platform, first), "the first answer")
    assert server.stop()[0] == 0
    platform.serve("--workers", "0")
    second = start_session(platform)
    eventually(lambda: idle(platform, second), "the second answer", 30)
    assert worker.process.poll() is None
    assert worker.stop()[0] == 0


def test_without_a_platform_it_says_so(platform: Platform) -> None:
    alone = run("worker", "--data-dir", str(platform.data_dir / "nothing"))
    assert alone.returncode == 1
    assert "Traceback" not in alone.stderr
    platform.data_dir.mkdir(exist_ok=True)
    late = run(
        "worker", "--data-dir", str(platform.data_dir), AGENTSTEAD_DATABASE_WAIT_SECONDS="0.5"
    )
    assert late.returncode == 1
    assert "agentstead serve" in late.stderr


def test_its_metrics_can_be_read(platform: Platform, tmp_path: Path) -> None:
    import socket

    import httpx2

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    platform.serve("--workers", "0")
    platform.start("worker", "--metrics-port", str(port))
    session_id = start_session(platform)
    eventually(lambda: idle(platform, session_id), "the worker's answer")
    shown = httpx2.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert "agentstead_claims_total 1.0" in shown
    assert 'agentstead_model_requests_total{outcome="ok"} 1.0' in shown
    assert 'agentstead_events_appended_total{type="agent.message"} 1.0' in shown


def test_two_workers_share_the_sessions(platform: Platform) -> None:
    server = platform.serve("--workers", "0")
    workers = [platform.start("worker") for _ in range(2)]
    sessions = [start_session(platform) for _ in range(6)]
    for session_id in sessions:
        eventually(lambda s=session_id: idle(platform, s), "every answer")
    for worker in workers:
        code, _, err = worker.stop()
        assert code == 0, err
        assert all(json.loads(line)["level"] == "info" for line in err.splitlines())
    assert server.stop()[0] == 0
