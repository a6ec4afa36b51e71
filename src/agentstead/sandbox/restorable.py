"""The contract of a sandbox provider whose files can be saved and made again, on this host or another.

Saved is what the agent may write to, without /tmp. Where files stand is told by versions: ids that
the caller gives to what it saved or restored, and compares with its own books.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Saved:
    """What a sandbox's files were like when they were saved or restored."""

    stamp: str
    """Another one whenever a file may have changed; of this folder on this host only."""
    calls: int
    """Another one once a call has begun."""
    files: int = 0
    content_bytes: int = 0
    left_out: int = 0
    """What could not be taken along."""
    examples: tuple[str, ...] = ()
    """Some of it, each with the reason."""


Take = Callable[[AsyncIterator[bytes]], Awaitable[None]]
"""Takes an archive, piece by piece; what it is given raises when the archive cannot be finished."""
Note = Callable[[Saved], str]
"""What the model is told of a restoring, given what came of it; empty: nothing."""


class Restorable(Protocol):
    """What checkpoints need of a provider, beside `Sandbox`."""

    async def host(self) -> str:
        """What this host, with its sandboxes, is called: always the same, and no other host is."""
        ...

    async def standing(self, sandbox_id: str) -> frozenset[str] | None:
        """The versions that its files here may be; one is empty: never saved. None: no files here."""
        ...

    async def save(
        self,
        sandbox_id: str,
        version: str,
        take: Take,
        *,
        bytes_max: int,
        thoroughly: bool = False,
    ) -> Saved | None:
        """Hand an archive to `take`; None: nothing is new, and `take` was not asked.

        From before `take` is asked its files may be `version`; `mark` is to follow. `thoroughly`:
        look at every file, also when no call has begun since the last look. SandboxFault `save`.
        """
        ...

    async def mark(self, sandbox_id: str, version: str, saved: Saved) -> None:
        """The files, as they were when `saved` was made, are `version`."""
        ...

    async def restore(
        self, sandbox_id: str, version: str, archive: AsyncIterator[bytes] | None, note: Note
    ) -> Saved:
        """Make its files from an archive, or empty (None), whatever was there: they are `version`.

        Ends it where it runs. Its journal stays. The result of the first call afterwards tells the
        note. SandboxFault `damaged` when the archive is, `start` when it cannot be done now.
        """
        ...

    async def set_aside(self, sandbox_id: str, *, even_unsaved: bool = False) -> bool:
        """Take it away if it rests and no call has begun since its files were marked; whether it did.

        Quick; `destroy` then deletes it. Nothing of it is left for the next call.
        """
        ...

    async def destroy(self, sandbox_id: str) -> None:
        """As of `Sandbox`."""
        ...

    async def unused(self, seconds: float) -> Sequence[str]:
        """The sandboxes here that nobody has used or renewed for so long."""
        ...

    async def rest(self, only: Iterable[str] | None = None) -> None:
        """End the sandboxes here, or these, that run no call, and wait until they have ended."""
        ...
