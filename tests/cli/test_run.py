"""`agentstead run` for real, with the scripted model: on a server, on a data directory, on its own."""

import json
import signal
from pathlib import Path

import pytest

from tests.support.processes import Platform, eventually, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SCENARIO = {
    "otherwise": "I only know scripts.",
    "scripts": [
        {
            "when": {"contains": "count"},
            "turns": [
                {
                    "text": "I count.",
                    "tools": [{"name": "bash", "input": {"command": "echo one two | wc -w"}}],
                },
                {"text": "There are {{last_result_line}} words."},
            ],
        },
        {
            "when": {"contains": "wait"},
            "turns": [
                {"tools": [{"name": "bash", "input": {"command": "echo begun; sleep 60"}}]},
                {"text": "Slept."},
            ],
        },
        {"when": {"contains": "refuse"}, "turns": [{"refusal": {"explanation": "no"}}]},
    ],
}


@pytest.fixture
def scenario(tmp_path: Path) -> dict[str, str]:
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(SCENARIO))
    return {"AGENTSTEAD_SCRIPTED_FILE": str(path)}


def test_it_starts_a_platform_for_one_job_and_stops_it(
    nowhere: Platform, scenario: dict[str, str]
) -> None:
    done = run("run", "Count words", "--data-dir", str(nowhere.data_dir), seconds=60, **scenario)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "There are 2 words.\n"
    assert "scripted, not an AI" in done.stderr
    assert "● bash  echo one two | wc -w" in done.stderr
    assert "│ 2" in done.stderr
    assert nowhere.postgres() is None
    assert not (nowhere.data_dir / "serve.json").exists()


def test_it_uses_the_server_of_the_data_directory(
    platform: Platform, scenario: dict[str, str]
) -> None:
    platform.serve(**scenario)
    done = run("run", "count", "--data-dir", str(platform.data_dir), seconds=60)
    assert (done.returncode, done.stdout) == (0, "There are 2 words.\n"), done.stderr
    assert "starting a platform" not in done.stderr
    with platform.http() as client:
        (session,) = client.get("/v1/sessions").json()["data"]
        assert session["status"] == "idle"
        again = run("run", "count", "--data-dir", str(platform.data_dir), seconds=60)
        assert again.returncode == 0, again.stderr
        assert len(client.get("/v1/environments").json()["data"]) == 1


def test_it_is_a_client_of_a_named_server(platform: Platform, scenario: dict[str, str]) -> None:
    platform.serve(**scenario)
    where = {"AGENTSTEAD_BASE_URL": platform.url, "AGENTSTEAD_API_KEY": platform.key}
    done = run("run", "count", "--tool", "bash", seconds=60, **where)
    assert (done.returncode, done.stdout) == (0, "There are 2 words.\n"), done.stderr
    wrong = run("run", "count", seconds=60, **(where | {"AGENTSTEAD_API_KEY": "wrong"}))
    assert wrong.returncode == 1
    assert "AGENTSTEAD_API_KEY" in wrong.stderr
    unknown = run("run", "count", "--tool", "telepathy", seconds=60, **where)
    assert unknown.returncode == 1
    assert "Traceback" not in unknown.stderr


def test_a_refusal_of_the_model_is_code_1(platform: Platform, scenario: dict[str, str]) -> None:
    platform.serve(**scenario)
    done = run("run", "refuse", "--data-dir", str(platform.data_dir), seconds=60)
    assert done.returncode == 1
    assert "stopped: refusal" in done.stderr


def test_ctrl_c_interrupts_the_agent(platform: Platform, scenario: dict[str, str]) -> None:
    platform.serve(**scenario)
    job = platform.start("run", "wait")
    try:
        with platform.http() as client:

            def calls() -> list[str]:
                for session in client.get("/v1/sessions").json()["data"]:
                    events = client.get(f"/v1/sessions/{session['id']}/events").json()["data"]
                    return [e["id"] for e in events if e["type"] == "agent.tool_use"]
                return []

            eventually(calls, "the long call")
            code, _, err = job.stop(signal.SIGINT)
            assert code == 1, err
            assert "interrupted" in err
            (session,) = client.get("/v1/sessions").json()["data"]
            assert session["status"] == "idle"
            events = client.get(f"/v1/sessions/{session['id']}/events").json()["data"]
            assert "user.interrupt" in [event["type"] for event in events]
    finally:
        job.kill()


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    where = {"AGENTSTEAD_BASE_URL": "http://127.0.0.1:1", "AGENTSTEAD_API_KEY": "k"}
    done = run("run", "count", **where)
    assert done.returncode == 1
    assert "http://127.0.0.1:1 does not answer" in done.stderr
    assert "agentstead serve" in done.stderr


def test_something_that_is_no_server_is_named(tmp_path: Path) -> None:
    done = run("run", "count", AGENTSTEAD_BASE_URL="nonsense", AGENTSTEAD_API_KEY="k")
    assert done.returncode == 1
    assert "AGENTSTEAD_BASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
