"""The session's own copies of uploaded files: the seam between its resources and the Files API.

Promises: a copy is made only of a file that exists in the caller's workspace; a file that does not
is named by its path in the request. A copy shares its original's body and outlives it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agentstead.api.router import Call
from agentstead.errors import Invalid
from agentstead.store import files as store


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a session is to have."""

    file_id: str
    path: str
    """Where the id stands in the request, e.g. `resources.0.file_id`."""


async def copy_into(call: Call, session_id: str, wanted: Sequence[Wanted]) -> tuple[str, ...]:
    """The ids of the session's copies, in order; Invalid naming the first file that is not there.

    Either all are made or none. Called after everything else about the request was checked; the
    session itself may not be written yet: a copy whose session never comes is swept up.
    """
    if not wanted:
        return ()
    async with call.services.database.pipeline() as tx:
        write = call.write(tx)
        ids = {one.file_id for one in wanted}
        found = await store.originals(tx, call.workspace_id, sorted(ids))
        for one in wanted:
            if one.file_id not in found:
                raise Invalid(f'{one.path}: There is no file "{one.file_id}".')
        return tuple([await store.copy(write, found[one.file_id], session_id) for one in wanted])


async def drop(call: Call, file_ids: Sequence[str]) -> None:
    """Delete copies; fine when they are not there."""
    async with call.services.database.transaction() as tx:
        for file_id in file_ids:
            await store.discard(call.write(tx), file_id)
