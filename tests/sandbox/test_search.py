"""The search tools of the runner, on files of this host."""

import os
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.supervisor.runner import search
from agentstead.sandbox.supervisor.runner.files import ToolError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for age, name in enumerate(
        ["top.py", "src/one.py", "src/two.ts", "src/deep/three.py", ".hidden/four.py", "a[1].txt"]
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"line one\nimport {path.stem}\n")
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "data.bin").write_bytes(b"import\0x\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "x.js").write_text("import hidden\n")
    return tmp_path


def found(tree: Path, blocks: list[dict[str, Any]]) -> list[str]:
    (block,) = blocks
    text = block["text"]
    return text.replace(f"{tree}/", "").split("\n") if text != "no matches" else []


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.py", ["top.py"]),
        ("**/*.py", ["top.py", "src/one.py", "src/deep/three.py", ".hidden/four.py"]),
        ("src/**/*.py", ["src/one.py", "src/deep/three.py"]),
        ("src/*.{py,ts}", ["src/one.py", "src/two.ts"]),
        ("src/deep/**", ["src/deep/three.py"]),
        ("./src/???.py", ["src/one.py"]),
        ("[st]*/*e.py", ["src/one.py"]),
        ("a[[]1].txt", ["a[1].txt"]),
        ("[!a-z]*/*.py", [".hidden/four.py"]),
        ("nothing*", []),
        ("loop/*.py", []),
    ],
)
def test_globbing(tree: Path, pattern: str, paths: list[str]) -> None:
    assert found(tree, search.glob({"pattern": pattern, "path": str(tree)})) == paths


def test_globbing_shows_the_newest_and_not_too_many(tmp_path: Path) -> None:
    for number in range(250):
        (tmp_path / f"f{number}").touch()
        os.utime(tmp_path / f"f{number}", (number, number))
    names = found(tmp_path, search.glob({"pattern": "*", "path": str(tmp_path)}))
    assert names == [f"f{number}" for number in range(249, 49, -1)]


def test_what_cannot_be_globbed(tree: Path) -> None:
    for given, why in (
        ({"pattern": "/etc/*"}, "must be relative"),
        ({"pattern": "../*"}, "not allowed"),
        ({"pattern": "*", "path": f"{tree}/none"}, "no such file"),
        ({"pattern": "*", "path": f"{tree}/top.py"}, "not a directory"),
    ):
        with pytest.raises(ToolError, match=why):
            search.glob(given)


def test_grepping(tree: Path) -> None:
    hits = found(tree, search.grep({"pattern": r"^import \w+e$", "path": str(tree)}))
    assert sorted(hits) == ["src/deep/three.py:2:import three", "src/one.py:2:import one"]
    one = search.grep({"pattern": "line", "path": str(tree / "top.py")})
    assert found(tree, one) == ["top.py:1:line one"]
    assert found(tree, search.grep({"pattern": "hidden", "path": str(tree)})) == []


def test_grepping_ends_at_its_limit(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("x" * 90 + "\n" + ("y" * 90 + "\n") * 5000)
    (tmp_path / "long").write_text("y" * 5000 + "\n")
    hits = found(tmp_path, search.grep({"pattern": "y", "path": str(tmp_path)}))
    assert hits[-1].startswith("[more matches")
    assert 500 < len(hits) < 1200
    assert not any(hit.startswith("long") for hit in hits)


def test_what_cannot_be_grepped(tree: Path) -> None:
    with pytest.raises(ToolError, match="not a valid regular expression"):
        search.grep({"pattern": "(", "path": str(tree)})
    with pytest.raises(ToolError, match="no such file"):
        search.grep({"pattern": "x", "path": f"{tree}/none"})
