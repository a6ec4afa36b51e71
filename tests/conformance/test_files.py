"""The Files API with the official SDK."""

import io
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.types import FileExpiredError, FileNotDownloadableError

from agentstead.store.files import sweep
from tests.conformance.requirements import requirement
from tests.support.server import Running, serving

HELLO = b"hello\n"


def stored(server: Running) -> list[Path]:
    """Bodies in the blob store, unfinished ones included."""
    return [path for path in server.folder.rglob("*") if path.is_file()]


@requirement("files:upload", "files:delete", "files:not-downloadable", "files:scope")
async def test_a_file_lives_and_goes(server: Running, client: Any, tmp_path: Path) -> None:
    (tmp_path / "report é.md").write_bytes(HELLO)
    file = await client.files.upload(file=tmp_path / "report é.md", expires_in_seconds=3600)
    assert file.id.startswith("file_01")
    assert (file.type, file.filename, file.mime_type) == ("file", "report é.md", "text/markdown")
    assert (file.size_bytes, file.downloadable) == (len(HELLO), False)
    assert (file.expires_at - file.created_at).total_seconds() == 3600
    assert await client.files.retrieve_metadata(file.id) == file
    beta = await client.beta.files.retrieve_metadata(file.id)
    assert beta.scope is None
    assert beta.filename == file.filename
    with pytest.raises(FileNotDownloadableError):
        await client.files.download(file.id)
    assert len(stored(server)) == 1
    deleted = await client.files.delete(file.id)
    assert deleted.to_dict() == {"id": file.id, "type": "file_deleted"}
    for gone in (client.files.retrieve_metadata, client.files.download, client.files.delete):
        with pytest.raises(anthropic.NotFoundError):
            await gone(file.id)
    for page in (await client.files.list(), await client.beta.files.list(ids=[file.id])):
        assert (page.data, page.next_page) == ([], None)
    await sweep(server.database, server.services.blobs, grace_seconds=0.0)
    assert stored(server) == []


NAMES: list[tuple[Any, str, str]] = [
    (("a/b/c.txt", HELLO), "c.txt", "text/plain"),
    (("/etc/passwd", HELLO, "text/x-mine; charset=utf-8"), "passwd", "text/x-mine"),
    (io.BytesIO(b"\x89PNG\r\n\x1a\n..."), "unnamed.png", "image/png"),
    (b"%PDF-1.7", "unnamed.pdf", "application/pdf"),
    (b"plain words", "unnamed.txt", "text/plain"),
    (b"\x00\x01", "unnamed", "application/octet-stream"),
    (b"", "unnamed", "application/octet-stream"),
    (("data.csv", b"a,b\n"), "data.csv", "text/csv"),
    (("x.tar.gz", b"\x1f\x8b", "application/octet-stream"), "x.tar.gz", "application/gzip"),
    (("日本.unknown", b"RIFF....WEBP"), "日本.unknown", "image/webp"),
    (("..hidden", b"x"), "..hidden", "text/plain"),
]


@requirement("files:name", "files:type")
@pytest.mark.parametrize(("sent", "name", "kind"), NAMES)
async def test_a_name_and_a_type_are_found(client: Any, sent: Any, name: str, kind: str) -> None:
    file = await client.beta.files.upload(file=sent)
    assert (file.filename, file.mime_type) == (name, kind)


@requirement("files:refused")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a\\b.txt", "must not contain"),
        ('a"b', "must not contain"),
        ("a\nb", "must not contain"),
        ("x" * 256, "255 characters"),
        ("a/..", '".." is not the name'),
        ("a?b", "must not contain"),
    ],
)
async def test_a_bad_name_is_refused(server: Running, client: Any, name: str, words: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=words) as refused:
        await client.files.upload(file=(name, HELLO))
    assert refused.value.body["error"]["message"].startswith("file: ")
    assert stored(server) == []


Form = dict[str, Any]
FORMS: list[tuple[Form, str]] = [
    ({"files": {"other": HELLO}}, "other: There is no such field"),
    ({"data": {"x": "1"}, "files": {"file": HELLO}}, "x: There is no such field"),
    ({"files": [("file", HELLO), ("file", HELLO)]}, "file: One request uploads one file."),
    ({"data": {"expires_in_seconds": "3599"}, "files": {"file": HELLO}}, "expires_in_seconds: "),
    ({"data": {"expires_in_seconds": "7776001"}, "files": {"file": HELLO}}, "expires_in_seconds: "),
    ({"data": {"expires_in_seconds": "1e4"}, "files": {"file": HELLO}}, "expires_in_seconds: "),
    (
        {"data": {"expires_in_seconds": "9" * 5000}, "files": {"file": HELLO}},
        "expires_in_seconds: ",
    ),
    ({"files": {"expires_in_seconds": ("", b"3600")}}, "file: Required"),
    ({"json": {"file": "x"}}, "Content-Type: Expected multipart/form-data"),
    ({}, "Content-Type: Expected multipart/form-data"),
]


@requirement("files:refused")
@pytest.mark.parametrize(("form", "words"), FORMS)
async def test_a_bad_form_is_refused(server: Running, form: Form, words: str) -> None:
    answer = await server.http().post("/v1/files", **form)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"].startswith(words)
    assert stored(server) == []


BROKEN = [
    b"",
    b"--b",
    b"nothing of a form",
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello',
    b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--b',
    b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n",
    b'--b\r\nContent-Disposition: attachment; name="file"\r\n\r\nhello\r\n--b--\r\n',
    b"--b\r\n" + b"x" * 20_000,
    b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nhello\r\n--b--\r\n',
]


@requirement("files:refused")
@pytest.mark.parametrize("body", BROKEN)
async def test_a_broken_form_is_refused(server: Running, body: bytes) -> None:
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = await server.http().post("/v1/files", content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert stored(server) == []


@requirement("files:list")
async def test_lists_are_paged_in_both_namespaces(client: Any) -> None:
    sent = [(await client.files.upload(file=(f"{n}.txt", HELLO))).id for n in range(5)]
    for files in (client.files, client.beta.files):
        assert [one.id async for one in files.list(limit=2)] == sent[::-1]
        page = await files.list(limit=2)
        assert page.next_page.startswith("page_")
        last = await files.list(limit=5)
        assert last.next_page is None
    for bad in ({"limit": 0}, {"limit": 1001}, {"page": "page_x"}):
        with pytest.raises(anthropic.BadRequestError):
            await client.files.list(**bad)


@requirement("files:ids")
async def test_files_are_found_by_their_ids(client: Any) -> None:
    one, two = [(await client.files.upload(file=("a", HELLO))).id for _ in range(2)]
    page = await client.files.list(ids=[one, "file_none", two, one])
    assert [file.id for file in page.data] == [two, one]
    assert page.next_page is None
    for bad in ({"limit": 5}, {"page": "page_x"}, {"ids": [f"file_{n}" for n in range(101)]}):
        with pytest.raises(anthropic.BadRequestError):
            await client.files.list(**{"ids": [one], **bad})


@requirement("files:scope")
async def test_a_scope_is_a_sessions_id(client: Any, session: Any) -> None:
    await client.files.upload(file=("a", HELLO))
    assert (await client.beta.files.list(scope_id=session.id)).data == []
    assert (await client.beta.files.list(scope_id="sesn_none")).data == []
    with pytest.raises(anthropic.BadRequestError, match="scope_id"):
        await client.beta.files.list(scope_id="agent_1")


@requirement("files:older-lists")
async def test_older_betas_page_by_id(server: Running, client: Any) -> None:
    sent = [(await client.files.upload(file=(f"{n}.txt", HELLO))).id for n in range(3)][::-1]
    http = server.http()
    for name in ("before_id", "after_id"):
        assert (await http.get("/v1/files", params={name: sent[0]})).status_code == 400
    managed = {"anthropic-beta": "managed-agents-2026-04-01"}
    first = (await http.get("/v1/files?limit=2", headers=managed)).json()
    assert [one["id"] for one in first["data"]] == sent[:2]
    assert (first["has_more"], first["first_id"], first["last_id"]) == (True, sent[0], sent[1])
    assert first["next_page"] is not None
    legacy = {"anthropic-beta": "files-api-2025-04-14"}
    rest = (await http.get(f"/v1/files?after_id={sent[1]}", headers=legacy)).json()
    assert [one["id"] for one in rest.pop("data")] == sent[2:]
    assert rest == {"has_more": False, "first_id": sent[2], "last_id": sent[2]}
    before = (await http.get(f"/v1/files?before_id={sent[2]}&limit=1", headers=legacy)).json()
    assert [one["id"] for one in before["data"]] == [sent[1]]
    assert before["has_more"]
    assert "expires_at" not in before["data"][0]
    for bad in (f"after_id={sent[0]}&page=x", f"after_id={sent[0]}&ids[]=x", "after_id=file_none"):
        assert (await http.get(f"/v1/files?{bad}", headers=managed)).status_code == 400


@requirement("files:too-large", "files:quota")
async def test_too_much_is_refused_and_leaves_nothing(database_url: str) -> None:
    async with serving(database_url, file_bytes_max=1 << 20, files_bytes_max=3 << 19) as server:
        client = server.sdk()
        large = b"x" * (1 << 20)
        kept = await client.files.upload(file=("fits", large))
        for more in (1, 100 << 10, 40 << 20):
            with pytest.raises(anthropic.ContentTooLargeError) as refused:
                await client.files.upload(file=("large", large + b"x" * more))
            assert refused.value.body["error"]["type"] == "request_too_large"
        with pytest.raises(anthropic.BadRequestError) as full:
            await client.files.upload(file=("more", large))
        assert full.value.body["error"]["details"]["error_code"] == "storage_quota_exceeded"
        assert len(stored(server)) == 1
        await client.files.delete(kept.id)
        await client.files.upload(file=("now", large))


@requirement("files:too-large")
async def test_a_stream_without_a_length_is_cut_at_the_limit(database_url: str) -> None:
    async def endless() -> Any:
        yield b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
        for _ in range(64):
            yield b"x" * (64 << 10)

    async with serving(database_url, file_bytes_max=1 << 20) as server:
        headers = {"content-type": "multipart/form-data; boundary=b"}
        answer = await server.http().post("/v1/files", content=endless(), headers=headers)
        assert answer.status_code == 413, answer.text
        assert stored(server) == []


@requirement("files:download", "files:expiry")
async def test_uploads_can_be_downloaded_where_allowed(database_url: str) -> None:
    async with serving(database_url, uploads_downloadable=True) as server:
        client, http = server.sdk(), server.http()
        body = bytes(range(256)) * 10_000
        file = await client.files.upload(file=("a b;é.bin", body), expires_in_seconds=3600)
        assert file.downloadable
        assert await (await client.files.download(file.id)).read() == body
        path = f"/v1/files/{file.id}/content"
        whole = await http.get(path)
        assert whole.headers["content-length"] == str(len(body))
        said = "attachment; filename*=UTF-8''a%20b%3B%C3%A9.bin"
        assert whole.headers["content-disposition"] == said
        assert whole.headers["x-content-type-options"] == "nosniff"
        for asked, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=1000-", 1000, len(body)),
            ("bytes=-5", len(body) - 5, len(body)),
            ("bytes=5-99999999", 5, len(body)),
        ):
            part = await http.get(path, headers={"range": asked})
            assert part.status_code == 206
            assert part.content == body[start:end]
            assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(body)}"
        for ignored in ("bytes=5-1", "bytes=-", "lines=1-2", "bytes=0-1,3-4"):
            assert (await http.get(path, headers={"range": ignored})).status_code == 200
        beyond = await http.get(path, headers={"range": f"bytes={len(body)}-"})
        assert beyond.status_code == 416
        await server.database.execute("update files set expires_at = now() - interval '1 second'")
        with pytest.raises(FileExpiredError):
            await client.files.download(file.id)
        assert (await client.files.retrieve_metadata(file.id)).expires_at is not None
        assert [one.id async for one in client.files.list()] == [file.id]
