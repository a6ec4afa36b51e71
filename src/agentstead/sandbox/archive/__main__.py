"""Saves or restores the files of one sandbox: `python -I -S <this file> <what to do, as JSON>`.

The archive goes to standard output or comes from standard input; the last line on standard error is
a report. It is started by the platform's user, drops to the sandbox's before it looks at anything
an agent made, and has no descriptor but those it is told of.
"""

import ctypes
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from agentstead.sandbox.archive.pack import Pack
from agentstead.sandbox.archive.unpack import Damaged, Unpack
from agentstead.sandbox.archive.walk import LeftOut, TooMuch, fingerprint

NICE = 5
MEMORY_BYTES = 2 << 30
PR_SET_NO_NEW_PRIVS = 38
LEVEL = 1
WORKERS = 1
"""Threads that compress while the main one reads."""
OUT = 1


def main() -> None:
    """Do it and report."""
    task = json.loads(sys.argv[1])
    trees: dict[str, int] = task["trees"]
    drop(task["uid"], {0, 1, 2, *trees.values()})
    if task["libraries"]:
        sys.path.append(task["libraries"])
    try:
        if task["do"] == "save":
            os.nice(NICE)  # nobody waits for it
            said = save(trees, task)
        else:
            said = restore(trees)
    except TooMuch as error:
        said = {"error": str(error), "kind": "large"}
    except Damaged as error:
        said = {"error": str(error), "kind": "damaged"}
    except OSError as error:
        said = {"error": error.strerror or str(error), "kind": "disk"}
    os.write(2, b"\n" + json.dumps(said).encode() + b"\n")


def save(trees: dict[str, int], task: dict[str, Any]) -> dict[str, Any]:
    """Write the archive, unless everything is as it was."""
    stamp = fingerprint(trees)  # first: what changes meanwhile makes another one next time
    if stamp == task["known"]:
        return {"same": True, "stamp": stamp}
    zstd = compression()
    setting = zstd.CompressionParameter
    options = {
        setting.compression_level: LEVEL,
        setting.nb_workers: WORKERS,
        setting.checksum_flag: 1,
    }
    compressor = zstd.ZstdCompressor(options=options)
    pack = Pack(trees, lambda data: everything(compressor.compress(data)), task["bytes_max"])
    pack.write()
    everything(compressor.flush())
    counts = {"files": pack.files, "bytes": pack.data}
    return {"stamp": stamp, **counts, **told(pack.walk.left_out)}


def restore(trees: dict[str, int]) -> dict[str, Any]:
    """Make everything from the archive."""
    zstd = compression()
    unpack = Unpack(trees)
    try:
        with zstd.ZstdFile(sys.stdin.buffer, "rb") as source:
            unpack.read(source)
    except zstd.ZstdError as error:
        raise Damaged(str(error)) from error
    return {"stamp": fingerprint(trees), "files": unpack.files, **told(unpack.left_out)}


def compression() -> Any:
    """The standard library's Zstandard, or its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def told(left_out: LeftOut) -> dict[str, Any]:
    """For the report."""
    return {"left_out": left_out.count, "names": left_out.names}


def everything(data: bytes) -> None:
    """Write to standard output."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(OUT, rest) :]


def drop(uid: int, kept: set[int]) -> None:
    """Become the sandbox's user, with nothing but these descriptors."""
    for entry in list(Path("/proc/self/fd").iterdir()):
        if int(entry.name) not in kept:
            try:
                os.close(int(entry.name))
            except OSError:
                continue  # the one the listing was read from
    os.umask(0o077)
    os.chdir("/")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if 0 in os.getresuid():
        raise PermissionError("files of a sandbox must never be touched as the host's root")
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


if __name__ == "__main__":
    main()
