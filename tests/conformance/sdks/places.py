"""Places for other SDKs than the installed one: made on demand beside the tree's own, and kept.

Promises: what is installed is what the hash-locked file says; a place whose file has changed is
made anew, by one process while the others wait; what cannot be made skips its test with a reason.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
INSTALLED = version("anthropic")
PYTHON = ("1.0.0", "0.121.0")
"""Versions of the Python SDK that are driven beside the installed one."""
TYPESCRIPT = "1.10.0"
INSTALL_SECONDS = 90
STEPS = {
    1: "agents: versions, a stale version, archive",
    2: "environments: defaults, metadata, a change of type, deletion",
    3: "a turn in order, listed as it was streamed",
    4: "custom tools, answered before and after the idle, twice, one by one",
    5: "confirmations: allow, deny, one too many",
    6: "an interrupt, and a message queued behind it",
    7: "previews",
    8: "pages in both directions and orders",
    11: "archive and deletion, refused while it runs; the end of a stream",
    12: "the SDK's own runner answers the calls of a session",
}
"""What `steps.py` and `steps.mjs` drive, by the numbers of wire §18; 12 in Python only, its worker beside it."""


def python(version: str, script: str) -> list[str]:
    """The command that runs a script of this folder with this version of the Python SDK."""
    if version == INSTALLED:
        return [sys.executable, str(HERE / f"{script}.py")]
    lock = HERE / f"requirements-sdk-{version}.lock"
    place = ROOT / f".venv-sdk-{version}"
    interpreter = str(place / "bin/python")
    uv = str(Path(sys.executable).with_name("uv"))

    def make(at: Path) -> None:
        run(uv, "venv", "--quiet", "--python", sys.executable, str(at))
        install = ("pip", "install", "--quiet", "--require-hashes", "--python")
        run(uv, *install, str(at / "bin/python"), "-r", str(lock))

    with alone(place):
        kept(place, lock, make)
    return [interpreter, str(HERE / f"{script}.py")]


def typescript(script: str) -> list[str]:
    """The command that runs a script of this folder with the TypeScript SDK."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm for the TypeScript SDK")
    place = ROOT / f".venv-sdk-typescript-{TYPESCRIPT}"
    source = HERE / "typescript"

    def make(at: Path) -> None:
        at.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, at)
        run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(at))

    with alone(place):
        kept(place, source / "package-lock.json", make)
        # Node looks for packages from where the file lies.
        put(source / f"{script}.mjs", place)
    return [node, str(place / f"{script}.mjs")]


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Keep other test processes out: they run tests of one SDK at the same time."""
    with (place.parent / f"{place.name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def put(source: Path, place: Path) -> None:
    """Copy a file in one step, since another process may be about to read it."""
    there = place / source.name
    if there.exists() and there.read_bytes() == source.read_bytes():
        return
    fresh = place / f".{source.name}"
    shutil.copy(source, fresh)
    fresh.replace(there)


def kept(place: Path, lock: Path, make) -> None:
    """Make a place unless it is there and was made from this file; call it `alone`."""
    stamp, mark = hashlib.sha256(lock.read_bytes()).hexdigest(), place / "made-from"
    if mark.exists() and mark.read_text() == stamp:
        return
    shutil.rmtree(place, ignore_errors=True)
    try:
        make(place)
    except (OSError, subprocess.SubprocessError) as error:
        shutil.rmtree(place, ignore_errors=True)
        said = getattr(error, "stderr", None) or error
        pytest.skip(f"needs the packages of {lock.name}: {str(said).strip()[-300:]}")
    mark.write_text(stamp)


def run(*command: str) -> None:
    """One step of an installation; an error carries what it said."""
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment,
        timeout=INSTALL_SECONDS,
    )  # fmt: skip
