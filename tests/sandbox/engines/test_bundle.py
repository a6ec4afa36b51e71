"""The program for containers: one file that needs nothing but an image's own Python."""

import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from agentstead.sandbox.engines.bundle import bundle, version

PYTHONS = [python for python in (sys.executable, "/usr/bin/python3") if Path(python).exists()]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_module_of_it_can_be_imported_from_it_alone(python: str, tmp_path: Path) -> None:
    file = tmp_path / "lib.pyz"
    file.write_bytes(bundle())
    names = [name for name in zipfile.ZipFile(BytesIO(bundle())).namelist() if "/" in name]
    modules = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in names
    ]
    assert "agentstead.sandbox.guest.relay" in modules
    # the supervisor of this host's sandboxes is not used there
    wanted = [name for name in modules if name != "agentstead.sandbox.supervisor.__main__"]
    code = f"import sys; sys.path[:0] = [{str(file)!r}]\nfor name in {wanted!r}: __import__(name)"
    done = subprocess.run([python, "-I", "-S", "-B", "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_the_same_modules_are_the_same_file() -> None:
    assert len(version()) == 16
    bundle.cache_clear()
    version.cache_clear()
    first = version()
    bundle.cache_clear()
    version.cache_clear()
    assert version() == first
