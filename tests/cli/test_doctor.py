"""`agentstead doctor` looks at the real machine and shows no secret."""

from pathlib import Path

import pytest

from agentstead.cli import examination
from agentstead.cli.examination import Grade
from agentstead.settings import Settings
from tests.support.processes import Platform, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]


def line(output: str, about: str) -> str:
    (found,) = [line for line in output.splitlines() if line[8:].startswith(f"{about}: ")]
    return found


def test_it_looks_at_everything_and_makes_nothing(tmp_path: Path) -> None:
    place = tmp_path / "data"
    shown = run("doctor", "--data-dir", str(place), seconds=60)
    for about in (
        "Python",
        "data directory",
        "database",
        "server",
        "sandbox",
        "limits",
        "git",
        "models",
        "prices",
        "judge",
    ):
        assert line(shown.stdout, about)
    assert line(shown.stdout, "Python").startswith("ok")
    assert "limits by" in line(shown.stdout, "sandbox")
    assert "memory 1 GiB, 256 processes, 1 CPUs" in line(shown.stdout, "limits")
    assert "not an AI" in line(shown.stdout, "models")
    assert "web_fetch" in shown.stdout
    assert shown.returncode == (1 if "FAILED" in shown.stdout else 0)
    assert not place.exists()


def test_keys_are_said_to_be_set_and_never_shown(tmp_path: Path) -> None:
    keys = {"ANTHROPIC_API_KEY": "sk-canary-1", "AGENTSTEAD_OPENAI_API_KEY": "sk-canary-2"}
    shown = run("doctor", "--data-dir", str(tmp_path), seconds=60, **keys)
    said = line(shown.stdout, "models")
    assert "Anthropic key is set" in said
    assert "OpenAI-compatible key is set" in said
    assert "canary" not in shown.stdout + shown.stderr


def test_git_is_looked_for_where_sandboxes_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=tmp_path)
    monkeypatch.setattr(examination, "SYSTEM_PATH", str(tmp_path))
    found = examination.git(settings)
    assert (found.grade, found.remedies) == (Grade.LACKING, ["Install the package git."])
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert examination.git(settings).what == f"{program}, checks out repositories"
    on_engine = examination.git(Settings(data_dir=tmp_path, sandbox="docker"))
    assert (on_engine.grade, on_engine.remedies) == (Grade.NOTE, ())


def test_prices_are_counted_and_a_wrong_file_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('[models."scripted-demo"]\ninput = 1\noutput = 2\n')
    shown = run("doctor", "--data-dir", str(tmp_path), seconds=60, AGENTSTEAD_PRICES_FILE=str(file))
    assert f"1 of 1 models have a list price; 1 in {file}" in line(shown.stdout, "prices")
    file.write_text('[models."scripted-demo"]\ninput = "1"\noutput = 2\n')
    shown = run("doctor", "--data-dir", str(tmp_path), seconds=60, AGENTSTEAD_PRICES_FILE=str(file))
    assert shown.returncode == 1
    assert 'models."scripted-demo".input: should be a number' in line(shown.stdout, "prices")


def test_a_database_that_does_not_answer_is_a_failure(tmp_path: Path) -> None:
    url = "postgresql://nobody:canary@127.0.0.1:1/none"
    shown = run("doctor", "--data-dir", str(tmp_path), "--database-url", url, seconds=60)
    assert shown.returncode == 1
    assert line(shown.stdout, "database").startswith("FAILED")
    assert "canary" not in shown.stdout + shown.stderr


def test_a_running_server_is_named(platform: Platform) -> None:
    server = platform.serve()
    shown = run("doctor", "--data-dir", str(platform.data_dir), seconds=60)
    assert str(server.pid) in line(shown.stdout, "server")
    assert "reached" in line(shown.stdout, "database")


@pytest.mark.parametrize("file", ["file", "file/below"])
def test_a_data_directory_that_is_none_is_a_failure(tmp_path: Path, file: str) -> None:
    (tmp_path / "file").write_text("")
    shown = run("doctor", "--data-dir", str(tmp_path / file), seconds=60)
    assert shown.returncode == 1
    assert line(shown.stdout, "data directory").startswith("FAILED")
