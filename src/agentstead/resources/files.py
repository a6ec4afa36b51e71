"""Files: upload, list, retrieve, download, delete.

Promises: an upload is whole or not there; a body is streamed both ways and never held in memory;
a file never changes; whether an upload can be downloaded is the operator's choice, what a session
hands over always can, its copies of uploads never.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from agentstead.api.downloads import Content, Download, download
from agentstead.api.paging import Cursor, cursor, limit, page
from agentstead.api.router import Call, Fields, Router
from agentstead.api.uploads import Form, Part, too_large
from agentstead.clock import from_rfc3339
from agentstead.errors import Invalid, NotFound, Refusal, StoreFault, TooLarge
from agentstead.ids import BLOB, SESSION
from agentstead.store import files as store
from agentstead.store.blobs import Body
from agentstead.store.files import NewFile, files
from agentstead.store.table import Filter, Row, Slice
from agentstead.wire import file as wire
from agentstead.wire.answers.answer import Deleted
from agentstead.wire.answers.file import File, FilePage

router = Router("Files")

LIMIT, LIMIT_MAX = 20, 1000
IDS_MAX = 100
LEGACY = "files-api-2025-04-14"
SESSIONS = "managed-agents-2026-04-01"
FORM = Fields(
    {
        "file": {"type": "string", "format": "binary"},
        "expires_in_seconds": {
            "type": "integer",
            "minimum": wire.EXPIRES_MIN,
            "maximum": wire.EXPIRES_MAX,
        },
    },
    "file",
    lambda settings: settings.file_bytes_max,
)


@router.upload("/v1/files", FORM, answer=File)
async def upload(call: Call, form: Form) -> Mapping[str, Any]:
    """Upload a file."""
    blobs, blob_id = call.services.blobs, call.services.ids.new(BLOB)
    try:
        upload, expires_in = await taken_in(call, form, blob_id)
        new = upload.file(blob_id, call, expires_in)
    except BaseException:
        await blobs.delete(blob_id)
        raise
    try:
        async with call.services.database.transaction() as tx:
            quota = call.services.settings.files_bytes_max
            file_id = await store.add(call.write(tx), new, quota)
            row = await files.retrieve(tx, call.workspace_id, file_id)
    except Refusal:
        await blobs.delete(blob_id)
        raise
    # Any other failure may have come after the commit: a body without a row is swept up later.
    return wire.answer(row)


async def taken_in(call: Call, form: Form, blob_id: str) -> tuple["Upload", int | None]:
    """The whole form, its file stored: what was uploaded, and in how many seconds it expires."""
    upload: Upload | None = None
    expires_in: int | None = None
    async for part in form:
        if part.field == "expires_in_seconds":
            if expires_in is not None:
                raise Invalid("expires_in_seconds: It is in the form twice.")
            expires_in = wire.expiry(await part.text())
        elif part.field != "file":
            raise Invalid(
                f"{part.field[:64]}: There is no such field; file and expires_in_seconds are."
            )
        elif upload is not None:
            raise Invalid("file: One request uploads one file.")
        else:
            upload = Upload(part)
            await upload.store(call, blob_id)
    if upload is None:
        raise Invalid("file: Required: a part with the file's content.")
    return upload, expires_in


class Upload:
    """The part of a form that holds the file."""

    def __init__(self, part: Part) -> None:
        self.name = wire.file_name(part.file_name)
        self.declared = part.content_type
        self.head = b""
        self.chunks = part.data()
        self.body = Body(0, "")

    async def store(self, call: Call, blob_id: str) -> None:
        """Stream it into the store."""
        most = call.services.settings.file_bytes_max
        try:
            self.body = await call.services.blobs.put(blob_id, self.watched(), most)
        except TooLarge:
            raise too_large("file", most) from None

    async def watched(self) -> AsyncIterator[bytes]:
        """The data; its beginning is kept."""
        async for chunk in self.chunks:
            if len(self.head) < wire.HEAD_BYTES:
                self.head += chunk[: wire.HEAD_BYTES - len(self.head)]
            yield chunk

    def file(self, blob_id: str, call: Call, expires_in: int | None) -> NewFile:
        """The file it becomes."""
        mime_type = wire.mime_type(self.declared, self.name, self.head)
        return NewFile(
            blob_id=blob_id,
            body=self.body,
            filename=self.name or wire.unnamed(mime_type),
            mime_type=mime_type,
            downloadable=call.services.settings.uploads_downloadable,
            expires_at=None if expires_in is None else call.now + expires_in,
        )


@router.get(
    "/v1/files",
    query=("ids[]", "scope_id", "limit", "page", "before_id", "after_id"),
    answer=FilePage,
)
async def list_files(call: Call) -> Mapping[str, Any]:
    """List files, newest first; those of one session with `scope_id`."""
    filters = []
    scope = call.query.text("scope_id")
    if scope is not None:
        if not scope.startswith(f"{SESSION}_"):
            raise Invalid(f"scope_id: Expected the id of a session ({SESSION}_…).")
        filters.append(Filter("t.session_id = %s", (scope,)))
    ids = list(dict.fromkeys(value for value in call.query.values.get("ids", ()) if value))
    near = {name: found for name in ("before_id", "after_id") if (found := call.query.text(name))}
    if ids:
        return await chosen(call, ids, filters, near)
    if near:
        return await near_one(call, near, filters)
    kind = f"files:{scope or ''}"
    at = cursor(call.query, kind, "desc", ((float, int), str))
    after = (float(at.key[0]), at.key[1]) if at else None
    part = Slice(limit(call.query, LIMIT, LIMIT_MAX), after=after)
    rows, more = await files.list(call.services.database, call.workspace_id, part, filters)
    last = None
    if more:
        last = Cursor(kind, "desc", (from_rfc3339(rows[-1]["created_at"]), rows[-1]["id"]))
    return listed(call, rows, last, more=more)


async def chosen(
    call: Call, ids: list[str], filters: list[Filter], near: Mapping[str, str]
) -> Mapping[str, Any]:
    """The files with these ids that there are, in one page."""
    for name in ("page", "limit", *near):
        if call.query.text(name) is not None:
            raise Invalid(f"{name}: Not together with ids.")
    if len(ids) > IDS_MAX:
        raise Invalid(f"ids: At most {IDS_MAX} ids are allowed.")
    if any("\x00" in one for one in ids):
        raise Invalid("ids: The NUL character is not allowed.")
    found = [*filters, Filter("t.id = any(%s)", (ids,))]
    rows, _ = await files.list(call.services.database, call.workspace_id, Slice(IDS_MAX), found)
    return listed(call, rows, None, more=False)


async def near_one(call: Call, near: Mapping[str, str], filters: list[Filter]) -> Mapping[str, Any]:
    """A page before or after one file, as older clients ask for it."""
    (name, file_id), *others = near.items()
    if not call.betas & {LEGACY, SESSIONS}:
        raise Invalid(f"{name}: Unknown parameter; page through the list with page.")
    if others or call.query.text("page") is not None:
        raise Invalid(f"{name}: Only one of before_id, after_id and page is allowed.")
    row = await files.find(call.services.database, call.workspace_id, file_id)
    if row is None:
        raise Invalid(f"{name}: File {file_id} not found.")
    backwards = name == "before_id"
    place = (from_rfc3339(row["created_at"]), file_id)
    part = Slice(limit(call.query, LIMIT, LIMIT_MAX), descending=not backwards, after=place)
    rows, more = await files.list(call.services.database, call.workspace_id, part, filters)
    return listed(call, rows[::-1] if backwards else rows, None, more=more)


def listed(call: Call, rows: list[Row], last: Cursor | None, *, more: bool) -> dict[str, Any]:
    """A page as the client's version of the API has it."""
    legacy = LEGACY in call.betas and SESSIONS not in call.betas
    found = page([wire.answer(row, legacy=legacy) for row in rows], last)
    if call.betas & {LEGACY, SESSIONS}:
        ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {}
        found |= {"has_more": more, "first_id": None, "last_id": None, **ends}
    if legacy:
        del found["next_page"]
    return found


@router.get("/v1/files/{file_id}", answer=File)
async def retrieve(call: Call, file_id: str) -> Mapping[str, Any]:
    """Retrieve what is known of a file."""
    row = await files.retrieve(call.services.database, call.workspace_id, file_id)
    return wire.answer(row, legacy=LEGACY in call.betas)


@router.get("/v1/files/{file_id}/content", answer=Download)
async def content(call: Call, file_id: str) -> Download:
    """Download a file; one range of it when asked for."""
    row = await files.retrieve(call.services.database, call.workspace_id, file_id)
    if not row["downloadable"]:
        raise Invalid(
            f"File {file_id} is not downloadable: only files that sessions hand over are.",
            code="file_not_downloadable",
        )
    if expired(row, call.now):
        raise NotFound(f"File {file_id} has expired.", code="file_expired")
    blob_id = row["blob_id"]
    body = Content(
        row["filename"],
        row["mime_type"],
        row["size_bytes"],
        lambda start, end: call.services.blobs.read(blob_id, start, end),
    )
    try:
        return await download(body, call.headers)
    except StoreFault:
        # It may have been deleted since its row was read; otherwise the fault is the store's.
        await files.retrieve(call.services.database, call.workspace_id, file_id)
        raise


@router.delete("/v1/files/{file_id}", answer=Deleted)
async def delete(call: Call, file_id: str) -> Mapping[str, Any]:
    """Delete a file; sessions keep their copies."""
    async with call.services.database.transaction() as tx:
        write = call.write(tx)
        row = await files.lock(write, file_id)
        if row["session_id"] is not None and not row["downloadable"]:
            raise Invalid(
                f"File {file_id} is mounted in session {row['session_id']}; "
                "delete the session's resource instead."
            )
        await files.delete(write, file_id)
    return {"id": file_id, "type": "file_deleted"}


def expired(row: Row, now: float) -> bool:
    """Whether the content of a file is gone."""
    at = row["expires_at"]
    return row["blob_id"] is None or (at is not None and from_rfc3339(at) <= now)
