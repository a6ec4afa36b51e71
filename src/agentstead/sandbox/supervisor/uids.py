"""Which user on the host a sandbox runs as.

Started by root, each sandbox has a host user of its own, from a pool, so that no file and no limit
is shared between two sessions; started by anybody else, it is that user. Never uid 0: the user
inside would then be the host's root and could write `/proc/sys/kernel/core_pattern`.
"""

import os
import zlib
from collections.abc import Iterator
from pathlib import Path

FIRST, LAST = 200_000, 265_535
SMALL_MAP_MIN = 20_000
"""In a container with fewer users than this there is no room for a pool."""


class NoUserLeft(Exception):
    """No host user can be had for a sandbox."""


def take(registry: Path, sandbox_id: str) -> int:
    """A host user that no other sandbox of this registry has; `registry` remembers it."""
    registry.mkdir(mode=0o700, exist_ok=True)
    for uid in _candidates(str(registry)):
        if runs(uid):
            continue
        try:
            descriptor = os.open(registry / str(uid), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(sandbox_id)
        return uid
    raise NoUserLeft("every host user of the pool belongs to a sandbox; destroy some")


def give_back(registry: Path, uid: int, sandbox_id: str) -> None:
    """Let another sandbox have this user: only after every file of it is gone."""
    file = registry / str(uid)
    try:
        if file.read_text() == sandbox_id:
            file.unlink()
    except FileNotFoundError:
        return


def _candidates(seed: str) -> Iterator[int]:
    first, last = pool(_mapped())
    # two platforms on one host should rarely meet on the same number
    size = last - first + 1
    start = zlib.crc32(seed.encode()) % size
    for step in range(size):
        yield first + (start + step) % size


def pool(mapped: list[tuple[int, int]]) -> tuple[int, int]:
    """The first and last user of the pool, given the users that exist here (first, last)."""
    for first, last in mapped:
        if first <= FIRST and last >= LAST:
            return FIRST, LAST
    first, last = max(mapped, key=lambda span: span[1] - span[0], default=(0, 0))
    if last - first < SMALL_MAP_MIN:
        raise NoUserLeft(
            "this container has too few users mapped for one per sandbox:"
            " run the platform as a plain user, or map at least 65536 users"
        )
    return last - (last - first) // 4, last


def _mapped() -> list[tuple[int, int]]:
    spans = []
    for line in Path("/proc/self/uid_map").read_text().splitlines():
        inside, _, count = map(int, line.split())
        spans.append((inside, inside + count - 1))
    return spans


def runs(uid: int) -> bool:
    """Whether this user has a process on this host."""
    try:
        # the kernel looks through its list; to walk /proc takes a millisecond
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True
