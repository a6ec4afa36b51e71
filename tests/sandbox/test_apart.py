"""Folders of sandboxes are spread over the disk where the file system can do that."""

import os
from pathlib import Path

import pytest

from agentstead.sandbox.supervisor.apart import TOP, marks, spread
from agentstead.sandbox.supervisor.place import Place


def test_what_lies_in_the_root_lies_apart(tmp_path: Path) -> None:
    root = tmp_path / "sandboxes"
    Place(root, "sesn_1").make()
    Place(root, "sesn_2").make()
    opened = os.open(root, os.O_RDONLY)
    try:
        if not marks(opened) & TOP:
            pytest.skip("this file system has no such mark")
    except OSError:
        pytest.skip("this file system has no marks")
    finally:
        os.close(opened)
    spread(root)  # once more does no harm
    inner = os.open(root / "sesn_1", os.O_RDONLY)
    assert not marks(inner) & TOP  # what one sandbox holds stays together
    os.close(inner)


def test_where_it_cannot_be_it_is_not() -> None:
    spread(Path("/proc"))
