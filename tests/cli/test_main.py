"""The entrance: fast, no tracebacks, codes that mean something."""

import subprocess
import sys
import time

from tests.support.processes import COMMAND, environment, run


def test_help_is_quick_and_names_every_command() -> None:
    times = []
    for _ in range(3):
        started = time.monotonic()
        shown = run("--help")
        times.append(time.monotonic() - started)
    assert shown.returncode == 0
    for command in ("serve", "worker", "run", "key", "doctor", "version"):
        assert f"\n  {command} " in shown.stdout
    assert min(times) < 0.8  # 0.15 s on a machine that does nothing else; the contract is 0.4


def test_the_entrance_imports_nothing_heavy() -> None:
    code = (
        "import sys, agentstead.cli.main; "
        "print([m for m in ('pydantic', 'starlette', 'psycopg', 'anthropic', 'openai', 'httpx2',"
        " 'structlog', 'rich.live', 'uvicorn', 'asyncio') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_version() -> None:
    assert run("version").stdout == "agentstead 0.1.0\n"


def test_no_command_shows_the_help() -> None:
    assert "Usage:" in run().stdout + run().stderr


def test_wrong_use_is_code_2_in_one_sentence() -> None:
    wrong = run("serve", "--prot", "1")
    assert wrong.returncode == 2
    assert "--prot" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_setting_that_cannot_be_read_is_named_without_its_value() -> None:
    wrong = run("serve", AGENTSTEAD_PORT="s3cret")
    assert wrong.returncode == 1
    assert "AGENTSTEAD_PORT" in wrong.stderr
    assert "s3cret" not in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_python_without_assertions_is_refused() -> None:
    shown = subprocess.run(
        [sys.executable, "-O", *COMMAND[1:], "version"],
        env=environment(), capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip
    assert shown.returncode == 1
    assert "-O" in shown.stderr


def test_a_reader_that_goes_away_is_no_crash() -> None:
    process = subprocess.Popen(
        [*COMMAND, "doctor"], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=30)
    assert b"Traceback" not in said
