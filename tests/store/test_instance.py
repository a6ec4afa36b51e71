"""One `serve` per data directory."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from agentstead.errors import Misconfigured
from agentstead.store.instance import Instance

HOLD = (
    "import sys, time; from pathlib import Path; from agentstead.store.instance import Instance\n"
    "i = Instance.hold(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)\n"
)


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    held = Instance.hold(tmp_path)
    with pytest.raises(Misconfigured, match=rf"\(process {os.getpid()}\) holds the data directory"):
        Instance.hold(tmp_path)
    held.release()
    held.release()
    Instance.hold(tmp_path).release()


async def test_the_lock_dies_with_its_process(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLD, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout
    assert await process.stdout.readline() == b"held\n"
    with pytest.raises(Misconfigured, match=rf"process {process.pid}"):
        Instance.hold(tmp_path)
    process.send_signal(signal.SIGKILL)
    await process.wait()
    Instance.hold(tmp_path).release()
