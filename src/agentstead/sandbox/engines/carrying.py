"""What a worker carries over a line beside calls: uploads and read-only folders in, outputs out."""

import asyncio
import base64
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.line import Line
from agentstead.sandbox.sandbox import Mount, Output, Upload

PIECE_BYTES = 256 << 10
ARCHIVE_MEMORY_BYTES = 4 << 20
"""An archive of a folder that is larger lies on disk while it is carried."""


async def furnish(line: Line, laid: dict[str, str], mounts: Sequence[Mount]) -> None:
    """Note which uploads lie there, and bring the folders that do not."""
    there = await _done(line, "listed")
    laid.clear()
    laid.update(there["uploads"])
    for number, mount in enumerate(mounts):
        if there["mounts"].get(mount.target) == mount.source:
            continue
        if not mount.read_only or not mount.target.startswith("/mnt/"):
            raise SandboxFault(
                f"{mount.target} cannot be mounted: on an engine only read-only folders below /mnt can.",
                kind="start",
            )
        packed = await asyncio.to_thread(_packed, mount)
        with packed:
            await _put(line, f"mount-{number}", packed)
        await _done(
            line, "unpack", name=f"mount-{number}", target=mount.target, source=mount.source
        )


async def lay(line: Line, laid: dict[str, str], uploads: Sequence[Upload]) -> None:
    """Make the uploads these and no others. Costs nothing when there are none and were none."""
    if not uploads and not laid:
        return
    there = (await _done(line, "listed"))["uploads"]
    names = {upload.path: Path(upload.source).name for upload in uploads}
    if there != names:
        known = set(there.values())
        for upload in uploads:
            if there.get(upload.path) != names[upload.path] or names[upload.path] not in known:
                with await asyncio.to_thread(open, upload.source, "rb") as body:
                    await _put(line, names[upload.path], body)
        await _done(line, "place", uploads=names)
    laid.clear()
    laid.update({upload.path: upload.source for upload in uploads})


async def take_away(line: Line, laid: dict[str, str], gone: Mapping[str, str]) -> None:
    """Remove uploads, unless another has taken the place of one meanwhile."""
    names = {path: Path(source).name for path, source in gone.items()}
    await _done(line, "take_away", gone=names)
    for path, source in gone.items():
        if laid.get(path) == source:
            del laid[path]


async def outputs(line: Line) -> list[Output]:
    """What lies in the folder of outputs, oldest change first."""
    found = await _done(line, "outputs")
    return [Output(path, size, stamp) for path, size, stamp in found["outputs"]]


async def read_output(line: Line, path: str) -> AsyncIterator[bytes]:
    """The content of one of them."""
    offset = 0
    while piece := base64.b64decode((await _done(line, "read", path=path, offset=offset))["data"]):
        offset += len(piece)
        yield piece


async def _put(line: Line, name: str, body: IO[bytes]) -> None:
    offset = 0
    while True:
        piece = await asyncio.to_thread(body.read, PIECE_BYTES)
        if offset and not piece:
            return
        data = base64.b64encode(piece).decode()
        await _done(line, "put", name=name, offset=offset, data=data)
        offset += len(piece)
        if not piece:
            return


async def _done(line: Line, do: str, **more: Any) -> Any:
    reply = await line.ask(do, **more)
    if "error" in reply:
        raise SandboxFault(reply["error"], kind=reply["kind"])
    return reply


def _packed(mount: Mount) -> IO[bytes]:
    """A folder or file as an archive, under the last part of where it belongs."""
    packed = tempfile.SpooledTemporaryFile(ARCHIVE_MEMORY_BYTES)  # noqa: SIM115 (the caller closes it)
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, name in _found(Path(mount.source), Path(mount.target).name):
            archive.add(path, name, recursive=False, filter=_ours)
    packed.seek(0)
    return packed


def _found(source: Path, name: str) -> Iterator[tuple[Path, str]]:
    yield source, name
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        yield path, f"{name}/{path.relative_to(source)}"


def _ours(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    return entry
