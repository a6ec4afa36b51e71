"""Log lines are JSON on standard error and never show a secret."""

import json
import logging
import subprocess
import sys
import warnings

import pytest
import structlog

from agentstead.telemetry import logs


@pytest.fixture(autouse=True)
def restored() -> object:
    """Give the standard library's root logger back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield None
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_json_with_level_time_room_and_bound_session(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.configure(as_json=True)
    with structlog.contextvars.bound_contextvars(session_id="sesn_1"):
        logs.get("worker").info("claimed", fence=3)
    (line,) = lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "claimed", "level": "info", "room": "worker", "session_id": "sesn_1", "fence": 3,
    }  # fmt: skip


def test_keys_that_name_a_secret_are_blanked(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(as_json=True)
    logs.get("app").info("start", api_key="k1", database_url="u1", Authorization="a1", key_id="i1")
    (line,) = lines(capsys)
    assert (line["api_key"], line["database_url"], line["Authorization"]) == (logs.BLANK,) * 3
    assert line["key_id"] == "i1"


def test_levels_below_the_chosen_one_are_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="warning", as_json=True)
    logs.get("app").info("quiet")
    logs.get("app").warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_warnings_of_libraries_arrive_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(as_json=True)
    logging.getLogger("somelib").info("chatter")
    logging.getLogger("somelib").error("broke: %s", "disk")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["room"]) == ("broke: disk", "error", "somelib")


def test_the_readable_form_is_not_json(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        logs.configure(as_json=False)
        logs.get("app").info("ready", port=8080)
    assert "port=8080" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [True, False])
def test_a_crash_shows_where_and_never_the_values_of_variables(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    logs.configure(as_json=as_json)
    password = "canary" + "-in-a-variable"
    try:
        len(password) / 0
    except ZeroDivisionError:
        logs.get("app").exception("broke")
        logging.getLogger("somelib").exception("broke too")
    said = capsys.readouterr().err
    assert said.count("ZeroDivisionError") >= 2
    assert said.count("never_the_values_of_variables") >= 2
    assert password not in said


def test_the_log_does_not_bring_rich() -> None:
    code = "import sys, agentstead.telemetry.logs; print('rich' in sys.modules); import rich.text"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
