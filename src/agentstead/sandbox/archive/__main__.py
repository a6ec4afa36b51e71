"""Saves or restores the files of one sandbox: `python -I -S <this file> <what to do, as JSON>`.

The archive goes to standard output or comes from standard input; the last line on standard error is
a report. It is started by the platform's user, drops to the sandbox's before it looks at anything
an agent made, and has no descriptor but those it is told of.
"""

import ctypes
import fcntl
import gc
import json
import os
import resource
import sys
from contextlib import suppress
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, os.path.abspath(f"{__file__}/../../../.."))

from agentstead.sandbox.archive.ahead import Ahead
from agentstead.sandbox.archive.headers import Damaged
from agentstead.sandbox.archive.pack import Pack
from agentstead.sandbox.archive.unpack import Unpack
from agentstead.sandbox.archive.walk import LeftOut, TooMuch, fingerprint

NICE = 5
MEMORY_BYTES = 2 << 30
PR_SET_NO_NEW_PRIVS = 38
LEVEL = 1
WORKERS = 2
"""Threads that compress while the main one reads."""
OUT = 1
PIPE_BYTES = 1 << 20
"""What may be on its way to the platform, or from it, while neither waits for the other."""


def main() -> None:
    """Do it and report."""
    gc.disable()  # nothing here goes round in circles
    task = json.loads(sys.argv[1])
    trees: dict[str, int] = task["trees"]
    zstd = compression(task["libraries"])  # while files of the host can be read
    drop(task["uid"], {0, 1, 2, *trees.values()})
    with suppress(OSError):  # the kernel grants less; or a test reads from a file
        fcntl.fcntl(OUT if task["do"] == "save" else 0, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    try:
        if task["do"] == "save":
            os.nice(NICE)  # nobody waits for it
            said = save(trees, task, zstd)
        else:
            said = restore(trees, zstd)
    except TooMuch as error:
        said = {"error": str(error), "kind": "large"}
    except Damaged as error:
        said = {"error": str(error), "kind": "damaged"}
    except OSError as error:
        said = {"error": error.strerror or str(error), "kind": "disk"}
    os.write(2, b"\n" + json.dumps(said).encode() + b"\n")


def save(trees: dict[str, int], task: dict[str, Any], zstd: Any) -> dict[str, Any]:
    """Write the archive, unless everything is as it was."""
    stamp = fingerprint(trees)  # first: what changes meanwhile makes another one next time
    if stamp == task["known"]:
        return {"same": True, "stamp": stamp}
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


def restore(trees: dict[str, int], zstd: Any) -> dict[str, Any]:
    """Make everything from the archive."""
    unpack = Unpack(trees)
    unpack.read(Ahead(0, zstd))
    return {"stamp": fingerprint(trees), "files": unpack.files, **told(unpack.left_out)}


def compression(libraries: str) -> Any:
    """The standard library's Zstandard, or its backport."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        if libraries:
            sys.path.append(libraries)
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
    for number in map(int, os.listdir("/proc/self/fd")):
        if number not in kept:
            with suppress(OSError):  # the one the listing was read from
                os.close(number)
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
