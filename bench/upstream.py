"""A false model upstream in a process of its own, so that it does not share the measured one's core."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def upstream(delay_seconds: float, tool: str = "bash", steps: int = 0) -> Iterator[str]:
    """Its URL, for as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.upstream", "--delay", str(delay_seconds),
         "--tool", tool, "--steps", str(steps)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(10)
