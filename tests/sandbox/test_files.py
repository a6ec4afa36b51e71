"""The file tools of the runner, on files of this host."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.supervisor.runner import files


def said(blocks: list[dict[str, Any]]) -> str:
    (block,) = blocks
    text = block["text"]
    assert isinstance(text, str)
    return text


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "file.txt").write_bytes("one\nzwei ü\r\nthree\nfour\n".encode())
    return str(tmp_path / "file.txt")


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (None, "one\nzwei ü\r\nthree\nfour\n"),
        ([1, 1], "one"),
        ([2, 3], "zwei ü\r\nthree"),
        ([3, 0], "three\nfour\n"),
        ([3, -1], "three\nfour\n"),
        ([4, 99], "four\n"),
        ([9, 12], ""),
        ([0, 1], "one"),
        ([3, 2], ""),
    ],
)
def test_reading(path: str, lines: list[int] | None, text: str) -> None:
    assert said(files.read({"file_path": path, "view_range": lines})) == text


def test_a_large_file_is_read_by_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_text("".join(f"line {number}\n" for number in range(60_000)))
    with pytest.raises(files.ToolError, match="view_range"):
        files.read({"file_path": str(path)})
    read = said(files.read({"file_path": str(path), "view_range": [50_000, 50_001]}))
    assert read == "line 49999\nline 50000"
    with pytest.raises(files.ToolError, match="fewer lines"):
        files.read({"file_path": str(path), "view_range": [1, 0]})


def test_images_and_documents_come_as_blocks(tmp_path: Path) -> None:
    for name, kind, media in (
        ("a.png", "image", "image/png"),
        ("b.JPG", "image", "image/jpeg"),
        ("c.pdf", "document", "application/pdf"),
    ):
        (tmp_path / name).write_bytes(b"\x89bytes\0")
        (block,) = files.read({"file_path": str(tmp_path / name)})
        assert block["type"] == kind
        assert block["source"]["media_type"] == media
        assert base64.b64decode(block["source"]["data"]) == b"\x89bytes\0"
    with pytest.raises(files.ToolError, match="view_range"):
        files.read({"file_path": str(tmp_path / "a.png"), "view_range": [1, 2]})
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(files.IMAGE_BYTES_MAX + 1)
    with pytest.raises(files.ToolError, match="allowed for an image"):
        files.read({"file_path": str(tmp_path / "a.png")})


def test_what_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "loop").symlink_to("loop")
    for name, why in (
        ("none", "no such file"),
        (".", "is a directory"),
        ("pipe", "not a regular file"),
        ("binary", "not UTF-8"),
        ("loop", "symbolic links"),
        ("binary/x", "not a directory"),
        ("x\0y", "NUL"),
    ):
        with pytest.raises(files.ToolError, match=why):
            files.read({"file_path": f"{tmp_path}/{name}"})


def test_writing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    done = files.write({"file_path": str(path), "content": "ü\r\n"})
    assert said(done) == f"wrote 4 bytes to {path}"
    assert path.read_bytes() == "ü\r\n".encode()
    path.chmod(0o755)
    files.write({"file_path": str(path), "content": "x"})
    assert path.read_bytes() == b"x"
    assert path.stat().st_mode & 0o777 == 0o755


def test_what_cannot_be_written(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("x")
    for name, content, why in (
        (".", "x", "is a directory"),
        ("file/x", "x", "not a directory"),
        ("pipe", "x", "pipe"),
        ("new", "\ud800", "not valid Unicode"),
    ):
        with pytest.raises(files.ToolError, match=why):
            files.write({"file_path": f"{tmp_path}/{name}", "content": content})
    assert not (tmp_path / "new").exists()


def test_editing(path: str) -> None:
    given = {"file_path": path, "old_string": "zwei ü\r\n", "new_string": "two\n"}
    assert said(files.edit(given)) == f"edited {path} (1 replacement)"
    assert Path(path).read_bytes() == b"one\ntwo\nthree\nfour\n"
    given = {"file_path": path, "old_string": "o", "new_string": "0", "replace_all": True}
    assert said(files.edit(given)) == f"edited {path} (3 replacements)"
    assert Path(path).read_bytes() == b"0ne\ntw0\nthree\nf0ur\n"


def test_an_edit_that_does_not_fit_changes_nothing(path: str) -> None:
    before = Path(path).read_bytes()
    for old, why in (("none", "not found"), ("o", "occurs 2 times"), ("", "empty")):
        with pytest.raises(files.ToolError, match=why):
            files.edit({"file_path": path, "old_string": old, "new_string": "x"})
    assert Path(path).read_bytes() == before
