"""The runner, compiled by the Python that will run it: once for all sandboxes that a worker starts.

Only for the host's own Python; what an image brings runs nowhere but inside. Without this the
runner compiles itself at each start, which takes as long as everything else it does by then.
"""

import io
import json
import subprocess
import zipfile
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PYTHON = "/usr/bin/python3"
SECONDS = 10.0
FOLDER = Path(__file__).parent
PROGRAM = """
import base64, importlib.util, json, sys
from importlib._bootstrap_external import _code_to_hash_pyc
made = {}
for name, text in json.load(sys.stdin).items():
    source = text.encode()
    code = compile(source, "/run/agentstead/agentstead/sandbox/supervisor/" + name, "exec")
    pyc = _code_to_hash_pyc(code, importlib.util.source_hash(source), False)
    made[name + "c"] = base64.b64encode(pyc).decode()
json.dump(made, sys.stdout)
"""
"""Made to be taken unseen: nothing but the runner's own sources lies beside it."""

made: dict[str, bytes] = {}
"""Path below the supervisor's folder → content; whoever is forked from here has it."""
PACKAGES = ("agentstead", "agentstead/sandbox", "agentstead/sandbox/supervisor")
TIME = (1980, 1, 1, 0, 0, 0)


def sources() -> Iterator[Path]:
    """The files that run inside."""
    yield FOLDER / "frames.py"
    yield from sorted((FOLDER / "runner").glob("*.py"))


def make() -> None:
    """Compile; without the host's Python, or with one that refuses, nothing is there and all works."""
    texts = {str(path.relative_to(FOLDER)): path.read_text() for path in sources()}
    try:
        said = subprocess.run(
            [PYTHON, "-I", "-S", "-B", "-c", PROGRAM], input=json.dumps(texts), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=SECONDS, check=True,
            cwd="/", env={},
        ).stdout  # fmt: skip
        made.update({name: b64decode(code) for name, code in json.loads(said).items()})
    except (OSError, ValueError, subprocess.SubprocessError):
        made.clear()
    library.cache_clear()


@cache
def library(*, made_here: bool) -> bytes:
    """All of it as one file, to be imported from; `made_here`: for the host's Python, with what it compiled."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        files = {f"{package}/__init__.py": b"" for package in PACKAGES}
        files |= {
            f"{PACKAGES[-1]}/{path.relative_to(FOLDER)}": path.read_bytes() for path in sources()
        }
        files |= {f"{PACKAGES[-1]}/{name}": code for name, code in made.items() if made_here}
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, TIME), content)
    return packed.getvalue()
