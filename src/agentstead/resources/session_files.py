"""The session's own copies of uploaded files: the seam between its resources and the Files API.

Promises: a copy is made only of a file that exists in the caller's workspace; a file that does not
is named by its path in the request. Until there is a Files API no file exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from agentstead.api.router import Call
from agentstead.errors import Invalid


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that a session is to have."""

    file_id: str
    path: str
    """Where the id stands in the request, e.g. `resources.0.file_id`."""


async def copy_into(
    call: Call,  # noqa: ARG001  whose files, and where the copies belong: for the Files API
    session_id: str,  # noqa: ARG001
    wanted: Sequence[Wanted],
) -> tuple[str, ...]:
    """The ids of the session's copies, in order; Invalid naming the first file that is not there.

    Either all are made or none. Called after everything else about the request was checked; the
    session itself may not be written yet.
    """
    for one in wanted:
        raise Invalid(
            f'{one.path}: There is no file "{one.file_id}": uploading files is not available on '
            "this server yet."
        )
    return ()
