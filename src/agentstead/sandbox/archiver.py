"""The process that archives one sandbox's files as the sandbox's user, seen from the host.

What it hands over is passed on unread; what it is told of the host are folders, by descriptor.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentstead.errors import SandboxFault
from agentstead.sandbox.supervisor.place import Place

PROGRAM = Path(__file__).parent / "archive" / "__main__.py"
KEPT = ("workspace", "user", "outputs")
"""Folders under `files/` that are saved; /tmp is not."""
SECONDS_MAX = 600.0
"""What takes longer to save or restore is given up."""
REPORT_BYTES_MAX = 64 << 10
PIECE_BYTES = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FAILED = {
    "save": "Its files cannot be saved",
    "restore": "Its files cannot be restored",
}


class Archive:
    """An archive on its way, and the report after it."""

    def __init__(self, process: asyncio.subprocess.Process, first: bytes = b"") -> None:
        self.process = process
        self.first = first
        self.report: dict[str, Any] = {}

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of it; SandboxFault instead of an end when it is not whole."""
        piece = self.first
        assert self.process.stdout is not None
        while piece:
            yield piece
            piece = await self.process.stdout.read(PIECE_BYTES)
        self.report = await _report(self.process, "save")


@asynccontextmanager
async def packed(place: Place, known: str, bytes_max: int) -> AsyncIterator[Archive | None]:
    """An archive of the files; None when they are what `known` is the stamp of. SandboxFault `save`."""
    task = {"do": "save", "bytes_max": bytes_max, "known": known}
    async with _in_time("save"), _process(place, task) as process:
        assert process.stdout is not None
        first = await process.stdout.read(PIECE_BYTES)
        if first:
            yield Archive(process, first)
        else:
            assert (await _report(process, "save")).get("same")
            yield None


async def unpacked(place: Place, source: AsyncIterator[bytes]) -> Archive:
    """Make the files in folders that are empty. SandboxFault `damaged` or `start`."""
    async with _in_time("restore"), _process(place, {"do": "restore"}) as process:
        assert process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):  # its report says why it ended
            async for piece in source:
                process.stdin.write(piece)
                await process.stdin.drain()
        process.stdin.close()
        archive = Archive(process)
        archive.report = await _report(process, "restore")
        return archive


@asynccontextmanager
async def _process(
    place: Place, task: Mapping[str, Any]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The process; killed at the end if it still runs."""
    pipe = asyncio.subprocess.PIPE
    restores = task["do"] == "restore"
    try:
        with _opened(place) as trees:
            uid = place.meta().get("uid", os.geteuid())
            told = {**task, "uid": uid, "trees": trees, "libraries": _libraries()}
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-I", "-S", "-B", str(PROGRAM), json.dumps(told)),
                stdin=pipe if restores else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL if restores else pipe,
                stderr=pipe,
                pass_fds=tuple(trees.values()),
                limit=PIECE_BYTES,
                env={},
            )
    except OSError as error:
        raise _fault(error.strerror or str(error), str(task["do"])) from error
    try:
        yield process
        assert process.stderr is not None
        if process.stderr.at_eof():
            # it ends by itself; a signal would look whether it has, and take the answer from
            # whoever waits for it
            await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
        await asyncio.shield(process.wait())


@contextmanager
def _opened(place: Place) -> Iterator[dict[str, int]]:
    trees: dict[str, int] = {}
    try:
        for name in KEPT:
            with suppress(FileNotFoundError):  # of a sandbox that an older version made
                trees[name] = os.open(place.files / name, FOLDER)
        yield trees
    finally:
        for folder in trees.values():
            os.close(folder)


async def _report(process: asyncio.subprocess.Process, what: str) -> dict[str, Any]:
    """What it says at its end; SandboxFault when that is that it failed."""
    assert process.stderr is not None
    said = b""
    while len(said) < REPORT_BYTES_MAX and (more := await process.stderr.read(REPORT_BYTES_MAX)):
        said += more
    lines = said.decode("utf-8", "replace").strip().splitlines()
    try:
        report = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise _fault("\n".join(lines[-5:]) or "the archiver was ended", what) from None
    if "error" in report:
        raise _fault(report["error"], what, report["kind"])
    assert isinstance(report, dict)
    return report


@asynccontextmanager
async def _in_time(what: str) -> AsyncIterator[None]:
    limit = asyncio.timeout(SECONDS_MAX)
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise _fault(f"it takes longer than {SECONDS_MAX:g} s", what) from None


def _fault(why: str, what: str, kind: str = "") -> SandboxFault:
    if kind != "damaged":
        kind = "save" if what == "save" else "start"
    return SandboxFault(f"{FAILED[what]}: {why}.", kind=kind)


def _libraries() -> str:
    """The folder that Zstandard lies in, where Python does not bring it."""
    if sys.version_info >= (3, 14):
        return ""
    spec = find_spec("backports.zstd")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parents[2])
