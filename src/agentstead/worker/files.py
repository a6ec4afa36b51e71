"""The files of sessions as a worker needs them: in the sandbox, and in what a model is shown."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath

from agentstead.log import read
from agentstead.sandbox.sandbox import Upload
from agentstead.store.blobs import Blobs
from agentstead.store.pool import Database
from agentstead.wire import resource
from agentstead.worker.handing_over import HandingOver
from agentstead.worker.world import Content


class StoredFiles:
    """Over the database and the blob store."""

    def __init__(self, database: Database, blobs: Blobs, outputs: HandingOver) -> None:
        self.database = database
        self.blobs = blobs
        self.outputs = outputs

    async def close(self) -> None:
        """End what still goes on."""
        await self.outputs.close()

    async def hand_over(self, session_id: str) -> None:
        """Index the session's outputs."""
        await self.outputs.now(session_id)

    async def attached(self, session_id: str) -> tuple[str, ...]:
        """Where the session's files lie in the sandbox."""
        return resource.files_of(await read.resources(self.database, session_id))

    async def detached(self, lying: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        """Session id → the files that lie in its sandbox and are no more attached, of those that do."""
        rows = await self.database.fetch(
            "select id, resources from sessions where id = any(%s)", (list(lying),)
        )
        gone = {}
        for row in rows:
            wanted = {path_below(place) for place in resource.files_of(row["resources"])}
            left = {at: of for at, of in lying[row["id"]].items() if at not in wanted}
            if left:
                gone[row["id"]] = left
        return gone

    async def uploads(self, session_id: str) -> tuple[Upload, ...]:
        """The bodies of the session's files, and where they belong."""
        places = {
            one["file_id"]: resource.mounted(one)
            for one in await read.resources(self.database, session_id)
            if one["type"] == "file"
        }
        if not places:
            return ()
        rows = await self.database.fetch(
            "select id, blob_id from files where id = any(%s) and session_id = %s",
            (list(places), session_id),
        )
        return tuple(
            [
                Upload(
                    str(await self.blobs.local(row["blob_id"])),
                    path_below(places[row["id"]]),
                )
                for row in rows
            ]
        )

    async def contents(self, session_id: str, file_ids: Sequence[str]) -> Mapping[str, Content]:
        """What can be read of these files."""
        rows = await self.database.fetch(
            "select f.id, f.filename, f.mime_type, f.size_bytes, f.blob_id"
            " from sessions s join files f on f.workspace_id = s.workspace_id"
            " where s.id = %s and f.id = any(%s) and f.blob_id is not null"
            " and (f.expires_at is null or f.expires_at > now())",
            (session_id, list(file_ids)),
        )
        return {
            row["id"]: Content(
                row["filename"],
                row["mime_type"],
                row["size_bytes"],
                partial(self.blobs.read, row["blob_id"]),
            )
            for row in rows
        }


def path_below(place: str) -> str:
    """A file's place, relative to the uploads."""
    return str(PurePosixPath(place).relative_to(resource.UPLOADS))
