"""What the runner is made of: it must run on any Python that a host may have."""

import ast
import sys
from pathlib import Path

import pytest

from agentstead.sandbox.forking import Forking
from agentstead.sandbox.supervisor import frames, runner
from agentstead.sandbox.supervisor.runner.shell import clean, signal_name

FILES = [*Path(runner.__path__[0]).glob("*.py"), Path(frames.__file__)]
OLDEST = (3, 9)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_is_written_for_old_pythons(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=OLDEST)
    annotated = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert path.name == "__init__.py" or annotated[0].module == "__future__"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_needs_the_standard_library_only(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            ours = name.startswith("agentstead.sandbox.supervisor")
            assert ours or name.split(".")[0] in sys.stdlib_module_names, name


async def test_the_supervisor_starts_without_anything_installed() -> None:
    forking = Forking()
    said = await forking.start({})
    forking.close()
    # it got as far as reading its configuration
    assert "KeyError: 'root'" in said


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        (b"plain", "plain"),
        (b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07x\x1b]8;;http://x\x1b\\y", "red xy"),
        (b"a\r\nb\rc", "a\nb\rc"),
        (b"\xff\x00", "��"),
        (b"\x1b(Bx\x1b=", "x"),
    ],
)
def test_what_is_printed_becomes_text(printed: bytes, text: str) -> None:
    assert clean(printed) == text


def test_signals_have_names() -> None:
    assert signal_name(137) == "SIGKILL"
    assert signal_name(1) == ""
    assert signal_name(255) == ""
