"""Checkpoints: saving and restoring 76 MB in 3,000 files, beside `tar | zstd -1` of the same folder."""

import asyncio
import os
import random
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from agentstead.clock import SystemClock
from agentstead.sandbox import checkpoints
from agentstead.sandbox.supervisor.place import Place
from agentstead.store.blobs import FolderBlobs
from bench.report import keep, line, milliseconds, percentile, title

FILES, BYTES = 3000, 76_000_000
TIMES = 7


def fill(folder: Path, uid: int) -> None:
    """Files as a project has them: half of what is in them can be compressed."""
    chance = random.Random(1)
    words = [chance.randbytes(6).hex() for _ in range(4000)]
    for number in range(FILES):
        below = folder / f"d{number % 97}" / f"e{number % 7}"
        below.mkdir(parents=True, exist_ok=True)
        text = " ".join(chance.choices(words, k=1000)).encode()
        size = BYTES // FILES
        (below / f"file{number}.txt").write_bytes((text + chance.randbytes(size))[:size])
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{uid}:{uid}", str(folder)], check=True)


@dataclass
class Measured:
    """Seconds of each saving into the blob store and each restoring."""

    saved: list[float] = field(default_factory=list)
    restored: list[float] = field(default_factory=list)
    """Where nothing was: on another host, or after an eviction."""
    over: list[float] = field(default_factory=list)
    """Where older files give way."""
    size: int = 0
    """Bytes of the archive."""


async def measured(top: Path) -> Measured:
    """Save and restore."""
    found = Measured()
    place, blobs = Place(top / "sandboxes", "sesn_bench"), FolderBlobs(top / "blobs")
    place.make()
    uid = os.geteuid() or 200_000
    place.write_meta(uid=uid)
    place.make_files(uid)
    fill(place.files / "workspace", uid)
    for number in range(TIMES):
        name = f"blob_{number}"

        async def take(pieces: AsyncIterator[bytes], name: str = name) -> None:
            found.size = (await blobs.put(name, pieces, 1 << 30)).size_bytes

        (place.path / checkpoints.SAVED).unlink(missing_ok=True)
        begun = time.perf_counter()
        saved = await checkpoints.save(place, name, take, bytes_max=1 << 30, thoroughly=True)
        found.saved.append(time.perf_counter() - begun)
        assert saved is not None
        assert saved.files == FILES
    others = [Place(top / "sandboxes", f"sesn_fresh_{number}") for number in range(TIMES)]
    # none of the first is in the way of another: ext4 is slow where files were just deleted
    for other in others:
        found.restored.append(await restored(other, blobs, "blob_0"))
    for other in others:
        found.over.append(await restored(other, blobs, "blob_0"))
    return found


async def restored(place: Place, blobs: FolderBlobs, name: str) -> float:
    """Seconds of one restoring."""
    begun = time.perf_counter()
    await checkpoints.restore(place, "v", blobs.read(name), note=lambda _: "", clock=SystemClock())
    return time.perf_counter() - begun


def by_tar(folder: Path) -> list[float]:
    """Seconds of the usual programs."""
    spent = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        command = f"tar -C {folder} -cf - --sparse . | zstd -1 -q -c > {folder.parent}/out.zst && sync {folder.parent}/out.zst"
        subprocess.run(["bash", "-c", command], check=True)
        spent.append(time.perf_counter() - begun)
    return spent


def main() -> None:
    """Measure and print."""
    title("checkpoint of 76 MB in 3,000 files (bar: 300 ms)")
    with TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)
        found = asyncio.run(measured(top))
        line("saved, into the blob store", f"{milliseconds(found.saved)}   {found.size >> 20} MiB")
        line("restored where nothing was", milliseconds(found.restored))
        line("restored over older files", milliseconds(found.over))
        try:
            tar = by_tar(top / "sandboxes" / "sesn_bench" / "files" / "workspace")
        except subprocess.CalledProcessError:
            line("tar | zstd -1", "not here: one of the programs is missing")
            return
        line("tar | zstd -1, synced", milliseconds(tar))
        saved, programs = percentile(found.saved, 0.5), percentile(tar, 0.5)
        line("ratio of saving", f"{saved / programs:.2f}")
        keep(
            "checkpoint",
            save_p50=saved, restore_p50=percentile(found.restored, 0.5), tar_p50=programs,
        )  # fmt: skip


if __name__ == "__main__":
    main()
