"""The Skills API with the official SDK (skills §11 D22)."""

import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.lib import files_from_dir

from agentstead.resources.skills import bundle
from agentstead.store.files import sweep
from tests.conformance.requirements import requirement
from tests.support.server import Running

MANIFEST = b"---\nname: report-maker\ndescription: Makes reports.\n---\n\n# Reports\n"
LEGACY = {"anthropic-beta": "skills-2025-10-02"}


def zipped(files: dict[str, bytes], **modes: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for path, data in files.items():
            info = zipfile.ZipInfo(path)
            info.external_attr = (
                modes.get(path.rpartition("/")[2].partition(".")[0], 0o100644) << 16
            )
            archive.writestr(info, data)
    return target.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "report-maker"
    (place / "scripts").mkdir(parents=True)
    (place / "SKILL.md").write_bytes(MANIFEST)
    (place / "scripts" / "run.sh").write_bytes(b"#!/bin/sh\necho hi\n")
    (place / "scripts" / "é.txt").write_bytes(b"words")
    return place


@requirement("skills:life", "skills:latest", "skills:only-version")
async def test_a_skills_life(client: Any, server: Running, folder: Path) -> None:
    made = await client.skills.create(files=files_from_dir(folder))
    assert made.id.startswith("skill_")
    assert (made.type, made.display_name, made.source.type) == ("skill", "report-maker", "custom")
    first = await client.skills.versions.retrieve("latest", skill_id=made.id)
    assert first.id == made.latest_version_id
    assert (first.type, first.skill_id, first.name, first.description) == (
        "skill_version", made.id, "report-maker", "Makes reports.",
    )  # fmt: skip
    (folder / "SKILL.md").write_bytes(MANIFEST.replace(b"Makes", b"Writes"))
    second = await client.skills.versions.create(made.id, files=files_from_dir(folder))
    assert second.description == "Writes reports."
    assert (await client.skills.retrieve(made.id)).latest_version_id == second.id
    listed = [one.id async for one in client.skills.versions.list(made.id, limit=1)]
    assert listed == [second.id, first.id]
    named = await client.skills.create(files=files_from_dir(folder), display_name="Reports, nice")
    assert named.display_name == "Reports, nice"
    assert [one.id async for one in client.beta.skills.list(limit=1)] == [named.id, made.id]
    gone = await client.skills.versions.delete(second.id, skill_id=made.id)
    assert gone.to_dict() == {"id": second.id, "type": "skill_version_deleted"}
    assert (await client.skills.versions.retrieve("latest", skill_id=made.id)).id == first.id
    with pytest.raises(anthropic.BadRequestError, match="only version"):
        await client.skills.versions.delete(first.id, skill_id=made.id)
    deleted = await client.skills.delete(made.id)
    assert deleted.to_dict() == {"id": made.id, "type": "skill_deleted"}
    for missing in (
        client.skills.retrieve(made.id),
        client.skills.versions.retrieve(first.id, skill_id=made.id),
        client.skills.versions.retrieve(first.id, skill_id=named.id),
        client.beta.skills.versions.download(first.id, skill_id=made.id),
        client.skills.delete(made.id),
    ):
        with pytest.raises(anthropic.NotFoundError):
            await missing
    await client.skills.delete(named.id)
    await sweep(server.database, server.services.blobs, grace_seconds=0.0)
    assert [path for path in server.folder.rglob("blob_*") if path.is_file()] == []


@requirement("skills:download", "skills:zip")
@pytest.mark.parametrize("around", ["", "report-maker/", "anything else/"])
async def test_a_zip_comes_back_below_the_skills_name(
    client: Any, server: Running, around: str
) -> None:
    files = {
        f"{around}SKILL.md": MANIFEST,
        f"{around}bin/tool": b"\x7fELF",
        f"{around}notes.txt": b"words",
        f"__MACOSX/{around}._SKILL.md": b"clutter",
        f"{around}.DS_Store": b"clutter",
    }
    data = zipped(files, tool=0o100755)
    made = await client.skills.create(files=[("skill.zip", data, "application/zip")])
    await sweep(server.database, server.services.blobs, grace_seconds=0.0)
    version = made.latest_version_id
    answer = await client.beta.skills.versions.download(version, skill_id=made.id)
    with zipfile.ZipFile(io.BytesIO(await answer.read())) as archive:
        found = {
            info.filename: (archive.read(info), stat.S_IMODE(info.external_attr >> 16))
            for info in archive.infolist()
        }
    assert found == {
        "report-maker/SKILL.md": (MANIFEST, 0o644),
        "report-maker/bin/tool": (b"\x7fELF", 0o755),
        "report-maker/notes.txt": (b"words", 0o644),
    }


@requirement("skills:download")
async def test_scripts_can_be_executed_and_the_same_files_are_the_same_archive(
    client: Any, folder: Path
) -> None:
    contents = []
    for _ in range(2):
        made = await client.skills.create(files=files_from_dir(folder))
        answer = await client.beta.skills.versions.download("latest", skill_id=made.id)
        contents.append(await answer.read())
    assert contents[0] == contents[1]
    with zipfile.ZipFile(io.BytesIO(contents[0])) as archive:
        modes = {info.filename: info.external_attr >> 16 & 0o777 for info in archive.infolist()}
    assert modes == {
        "report-maker/SKILL.md": 0o644,
        "report-maker/scripts/run.sh": 0o755,
        "report-maker/scripts/é.txt": 0o644,
    }


def part(path: str, data: bytes = b"x") -> tuple[str, bytes]:
    return (path, data)


def manifest(text: str) -> list[tuple[str, bytes]]:
    return [part("SKILL.md", text.encode())]


WRONG: list[tuple[Any, str]] = [
    ([], "files: Required"),
    ([part("readme.md")], "no SKILL.md"),
    ([part("a/SKILL.md", MANIFEST), part("b/x")], "no SKILL.md"),
    ([part("a/b/SKILL.md", MANIFEST)], "no SKILL.md"),
    ([part("SKILL.md", MANIFEST), part("../x")], "path of a file"),
    ([part("SKILL.md", MANIFEST), part("/etc/x")], "path of a file"),
    ([part("SKILL.md", MANIFEST), part("a//b")], "path of a file"),
    ([part("SKILL.md", MANIFEST), part("a\\b")], "path of a file"),
    ([part("SKILL.md", MANIFEST), part("x"), part("x")], "same path"),
    ([part("SKILL.md", MANIFEST), part("x"), part("x/y")], "both a file and a folder"),
    (manifest("no front matter"), "front matter"),
    (manifest("---\nname: [\n---\n"), "not YAML"),
    (manifest("---\n- a\n---\n"), "must hold name and description"),
    (manifest("---\ndescription: d\n---\n"), "needs a name"),
    (manifest("---\nname: Report\ndescription: d\n---\n"), "lower-case"),
    (manifest(f"---\nname: {'a' * 65}\ndescription: d\n---\n"), "at most 64"),
    (manifest("---\nname: my-claude-skill\ndescription: d\n---\n"), '"claude"'),
    (manifest("---\nname: a\n---\n"), "description"),
    (manifest("---\nname: a\ndescription: <b>d</b>\n---\n"), "XML tags"),
    (manifest(f"---\nname: a\ndescription: {'d' * 1025}\n---\n"), "1 to 1024"),
    (manifest("---\nname: 7\ndescription: d\n---\n"), "lower-case"),
    ([part("SKILL.md", b"\xff")], "UTF-8"),
    ([part("s.zip", b"PK\x03\x04 not a zip")], "zip cannot be read"),
    ([part("s.zip", zipped({"SKILL.md": MANIFEST, "../x": b"x"}))], "path of a file"),
    (
        [part("s.zip", zipped({"SKILL.md": MANIFEST, "link": b"/etc/passwd"}, link=0o120777))],
        "link",
    ),
    (
        [part("s.zip", zipped({"SKILL.md": MANIFEST, "pipe": b""}, pipe=0o010644))],
        "link or a device",
    ),
]


@requirement("skills:rules")
async def test_wrong_uploads_say_what_is_wrong_and_leave_nothing(server: Running) -> None:
    http = server.http()
    for files, said in WRONG:
        sent = [("files[]", (name, data)) for name, data in files]
        answer = await http.post("/v1/skills", files=sent or [("display_name", (None, "x"))])
        assert answer.status_code == 400, (said, answer.text)
        assert said in answer.json()["error"]["message"], answer.text
    assert await server.database.fetch("select 1 from skills") == []
    assert list(server.folder.rglob("blob_*")) == []


@requirement("skills:rules")
async def test_a_zip_bomb_and_too_many_bytes_are_a_413(server: Running) -> None:
    http = server.http()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("SKILL.md", MANIFEST)
        for number in range(4):
            archive.writestr(f"zeros{number}", bytes(10_000_000))
    bomb = target.getvalue()
    assert len(bomb) < 100_000
    plain = [("SKILL.md", MANIFEST), ("large", bytes(bundle.BYTES_MAX))]
    for files in ([("bomb.zip", bomb)], plain):
        answer = await http.post("/v1/skills", files=[("files[]", one) for one in files])
        assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")
    assert list(server.folder.rglob("blob_*")) == []


@requirement("skills:same-name")
async def test_a_version_keeps_the_skills_name(client: Any, folder: Path) -> None:
    made = await client.skills.create(files=files_from_dir(folder))
    (folder / "SKILL.md").write_bytes(b"---\nname: other\ndescription: d\n---\n")
    with pytest.raises(anthropic.BadRequestError, match='"report-maker"'):
        await client.skills.versions.create(made.id, files=files_from_dir(folder))
    (folder / "SKILL.md").write_bytes(b"---\ndescription: Named by its folder.\n---\n")
    same = await client.skills.versions.create(made.id, files=files_from_dir(folder))
    assert (same.name, same.description) == ("report-maker", "Named by its folder.")


@requirement("skills:sources")
async def test_none_of_the_vendors_skills_are_here(client: Any, folder: Path) -> None:
    made = await client.skills.create(files=files_from_dir(folder))
    assert [one.id async for one in client.skills.list(source="custom")] == [made.id]
    assert [one.id async for one in client.skills.list(source="anthropic")] == []
    with pytest.raises(anthropic.NotFoundError, match="xlsx"):
        await client.skills.retrieve("xlsx")
    with pytest.raises(anthropic.BadRequestError, match="source"):
        await client.skills.list(source="mine")


@requirement("skills:legacy")
async def test_older_clients_get_their_own_form(server: Running) -> None:
    """clients rule 44: the only version is deleted first, then the skill."""
    http = server.http(headers=LEGACY)
    files = [("files[]", ("report-maker/SKILL.md", MANIFEST))]
    made = (await http.post("/v1/skills", files=files, data={"display_title": "Reports"})).json()
    assert made == {
        "id": made["id"], "type": "skill", "display_title": "Reports", "source": "custom",
        "latest_version": made["latest_version"], "created_at": made["created_at"],
        "updated_at": made["updated_at"],
    }  # fmt: skip
    number = made["latest_version"]
    assert number.isdigit()
    path = f"/v1/skills/{made['id']}"
    version = (await http.get(f"{path}/versions/{number}")).json()
    assert (version["version"], version["directory"]) == (number, "report-maker")
    refused = await http.delete(path)
    assert refused.status_code == 400
    gone = await http.delete(f"{path}/versions/{number}")
    assert gone.json() == {"id": number, "type": "skill_version_deleted"}
    assert (await http.get(path)).json()["latest_version"] is None
    assert (await http.get("/v1/skills")).json()["has_more"] is False
    plain = server.http()
    assert (await plain.get("/v1/skills")).json()["data"] == []
    assert (await plain.get(path)).status_code == 404
    assert (await http.delete(path)).json() == {"id": made["id"], "type": "skill_deleted"}
