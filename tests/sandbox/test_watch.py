"""The disk limit holds between calls too: what writes in the background is ended."""

import asyncio
from pathlib import Path

from agentstead.sandbox.sandbox import Limits, SandboxSpec
from agentstead.sandbox.supervisor import disk
from tests.support.sandboxes import needed, real_sandboxes, text

ID = "sesn_watch"
LIMIT = 64 << 20


async def test_a_background_process_cannot_fill_the_disk_between_calls() -> None:
    await needed()
    spec = SandboxSpec(Limits(memory_bytes=256 << 20, disk_bytes=LIMIT, call_seconds=20.0))
    fill = "for i in $(seq 200); do head -c 8M /dev/zero > f$i; sleep 0.05; done"
    async with real_sandboxes(idle_seconds=4.0) as sandboxes:
        begun = await sandboxes.call(ID, spec, "1", "bash", {"command": f"({fill}) & echo begun"})
        assert text(begun) == "begun"
        used = await still(sandboxes.root / ID / "files")
        assert LIMIT < used < 8 * LIMIT
        said = await sandboxes.call(ID, spec, "2", "bash", {"command": "jobs"})
        assert "the disk limit of 64 MiB was reached" in text(said)


async def still(folder: Path) -> int:
    """What lies there once it does not grow any more."""
    before, now = -1, 0
    async with asyncio.timeout(10):
        while now != before or now <= LIMIT:
            before = now
            await asyncio.sleep(0.6)
            now = disk.used(folder, 1 << 40)
    return now
