"""The import rules of pyproject.toml are there, and each of them refuses what it is for."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINT = Path(sys.executable).parent / "lint-imports"

# a new file in this room → what it imports → how the refusal names it
PLANTED = (
    ("harness/planted", "import time", "agentstead.harness.planted -> time"),
    ("harness/planted", "import asyncio", "agentstead.harness.planted -> asyncio"),
    ("harness/planted", "import agentstead.ids", "agentstead.harness.planted -> agentstead.ids"),
    ("harness/planted", "import agentstead.log.log", "agentstead.harness.planted -> agentstead.log.log"),
    ("harness/planted", "import agentstead.store", "agentstead.harness.planted -> agentstead.store"),
    ("sandbox/supervisor/planted", "import agentstead.errors", "supervisor.planted -> agentstead.errors"),
    ("sandbox/supervisor/planted", "import pydantic", "supervisor.planted -> pydantic"),
    ("sandbox/archive/planted", "import agentstead.errors", "archive.planted -> agentstead.errors"),
    ("worker/planted", "import psycopg", "agentstead.worker.planted -> psycopg"),
    ("worker/planted", "import starlette", "agentstead.worker.planted -> starlette"),
    ("resources/planted", "import psycopg", "agentstead.resources.planted -> psycopg"),
    ("resources/planted", "import agentstead.worker", "agentstead.resources.planted -> agentstead.worker"),
    ("providers/planted", "import anthropic", "agentstead.providers.planted -> anthropic"),
    ("providers/planted", "import openai", "agentstead.providers.planted -> openai"),
    ("providers/planted", "import agentstead.providers.scripted", "providers.planted -> agentstead.providers.scripted"),
    ("tools/planted", "import agentstead.tools.bash", "agentstead.tools.planted -> agentstead.tools.bash"),
    ("log/planted", "import agentstead.resources", "agentstead.log.planted -> agentstead.resources"),
    ("wire/planted", "import agentstead.store", "agentstead.wire.planted -> agentstead.store"),
    ("store/planted", "import agentstead.log.log", "agentstead.store.planted -> agentstead.log.log"),
    ("api/planted", "import agentstead.resources", "agentstead.api.planted -> agentstead.resources"),
)  # fmt: skip


def lint(root: Path) -> tuple[int, str]:
    """Run the linter on a copy; its words on one line."""
    done = subprocess.run(
        [LINT, "--no-logo", "--no-cache"],
        cwd=root, env={"PYTHONPATH": "src", "COLUMNS": "200"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its configuration."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(
        ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    return tmp_path


def plant(root: Path, where: str, line: str) -> None:
    """Add a line to a new file of a room."""
    path = root / "src/agentstead" / f"{where}.py"
    before = path.read_text() if path.exists() else '"""Planted."""\n'
    path.write_text(f"{before}{line}\n")


def test_the_house_is_clean(copy: Path) -> None:
    status, said = lint(copy)
    assert status == 0, said


def test_planted_imports_are_refused_by_name(copy: Path) -> None:
    for where, line, _ in PLANTED:
        plant(copy, where, line)
    status, said = lint(copy)
    assert status == 1, said
    missed = [refusal for _, _, refusal in PLANTED if refusal not in said]
    assert not missed, f"not refused: {missed}\n{said}"


def test_the_product_cannot_import_its_doubles(copy: Path) -> None:
    plant(copy, "app/planted", "import agentstead.testing")
    status, said = lint(copy)
    assert status == 1, said
    assert "agentstead.app.planted -> agentstead.testing" in said


def test_a_circle_is_refused(copy: Path) -> None:
    plant(copy, "log/planted_one", "import agentstead.log.planted_two")
    plant(copy, "log/planted_two", "import agentstead.log.planted_one")
    status, said = lint(copy)
    assert status == 1, said
    assert "planted_one" in said, said


def test_a_room_without_a_floor_is_refused(copy: Path) -> None:
    room = copy / "src/agentstead/attic"
    room.mkdir()
    (room / "__init__.py").write_text('"""Planted."""\n')
    status, said = lint(copy)
    assert status == 1, said
    assert "attic" in said
