"""The runner in C, where there is one for this machine: it is ready twenty times sooner than Python's.

It lies beside its sources as it was compiled (`native/build.py`), with its hash. Where it is missing or
is not what was recorded, the runner in Python is taken, which keeps the same contract.
"""

import hashlib
import platform
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).parent / "native"


@cache
def program() -> bytes:
    """The file; empty when Python's runner is to be taken."""
    return recorded(FOLDER / f"runner.{platform.machine()}")


def recorded(file: Path) -> bytes:
    """A program that is what its hash says; empty when it is not."""
    try:
        content = file.read_bytes()
        (digest, *_) = file.with_name(f"{file.name}.sha256").read_text().split()
    except (OSError, ValueError):
        return b""
    return content if hashlib.sha256(content).hexdigest() == digest else b""
