"""`agentstead image`: taken in, chosen, listed, needed, removed."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentstead.cli import image
from agentstead.errors import AgentsteadError
from agentstead.resources.image_users import users
from agentstead.sandbox.images import making
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.supervisor import disk
from tests.support.images import MARK, archive, entry, tarball
from tests.support.processes import run
from tests.support.sandboxes import needed
from tests.support.server import MODEL, serving


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Path]:
    await needed()
    yield tmp_path / "data"
    disk.delete(tmp_path / "data" / "images")


def test_an_image_is_taken_in_tried_out_chosen_and_listed(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "Tiny 1.tar"
    file.write_bytes(tarball())
    image.import_(file, data_dir=place)
    said = capsys.readouterr()
    (image_id,) = said.out.splitlines()
    assert len(image_id) == 64
    assert f"image tiny-1 ({MARK})" in said.err
    assert Images(place / "images").in_force() is None, "not before it is chosen"

    image.use("tiny-1", data_dir=place)
    image.list_images(data_dir=place)
    host, listed = capsys.readouterr().out.splitlines()
    assert host.startswith("  host ")
    assert listed.startswith(f"* {image_id[:12]}  tiny-1  {MARK}  ")
    with pytest.raises(AgentsteadError, match=r"\(\w+\) is in force"):
        image.remove("tiny-1", data_dir=place)
    monkeypatch.setenv("AGENTSTEAD_SANDBOX_IMAGE", image_id)
    with pytest.raises(AgentsteadError, match="are no image"):
        image.remove("host", data_dir=place)
    with pytest.raises(AgentsteadError, match=r"AGENTSTEAD_SANDBOX_IMAGE says .* comes first"):
        image.use("host", data_dir=place)
    monkeypatch.setenv("AGENTSTEAD_SANDBOX_IMAGE", "gone")
    image.list_images(data_dir=place)
    said = capsys.readouterr()
    assert 'none is in force: There is no image "gone"' in said.err
    assert "*" not in said.out


def test_an_image_that_does_not_start_does_not_stay(place: Path, tmp_path: Path) -> None:
    programs = [(entry(f"usr/bin/{name}", mode=0o755), b"nothing") for name in ("bash", "python3")]
    file = tmp_path / "broken.tar"
    link = entry("bin", b"2", linkname="usr/bin")
    file.write_bytes(archive(*programs, link, (entry("etc/os-release"), b"PRETTY_NAME=Broken\n")))
    with pytest.raises(AgentsteadError, match="No sandbox can be made of Broken") as refused:
        image.import_(file, data_dir=place)
    assert "the shell ended" in str(refused.value), "with what went wrong"
    assert list((place / "images").iterdir()) == []


@pytest.mark.timeout(60)
async def test_an_image_that_somebody_needs_is_not_removed(
    place: Path, tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "own.tar"
    programs = [(entry(f"usr/bin/{name}", mode=0o755), b"#!") for name in ("bash", "python3")]
    link = entry("bin", b"2", linkname="usr/bin")
    file.write_bytes(archive(*programs, link, (entry("etc/x"), b"")))
    images = Images(place / "images")
    made, _ = making.make(images, file, "own", "2026-01-01T00:00:00Z", lambda _: None, None)
    async with serving(database_url, data_dir=place) as server:
        client = server.sdk()
        agent = await client.beta.agents.create(name="a", model=MODEL)
        named = await client.beta.environments.create(
            name="e", extra_body={"agentstead": {"image": "own"}}
        )
        session = await client.beta.sessions.create(agent=agent.id, environment_id=named.id)
        assert await users(server.database, made) == [named.id, session.id]
        await client.beta.environments.archive(named.id)
        where = ("--data-dir", str(place), "--database-url", database_url)
        refused = await asyncio.to_thread(run, "image", "remove", "own", *where)
        assert refused.returncode == 1
        assert f"is needed by 1:\n  {session.id}" in refused.stderr
        await client.beta.sessions.archive(session.id)
        assert await users(server.database, made) == []


def test_what_is_missing_for_a_build_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(AgentsteadError, match=r"(?s)mmdebstrap is missing.*the package mmdebstrap"):
        image.build(data_dir=tmp_path / "data")


@pytest.mark.parametrize("name", ["host", "", "Upper", "../x", "a" * 64])
def test_a_name_has_to_be_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(AgentsteadError, match="is no name for an image"):
        image.build(name, data_dir=tmp_path / "data")


def test_images_are_for_sandboxes_of_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AGENTSTEAD_SANDBOX", "docker")
    with pytest.raises(AgentsteadError, match="AGENTSTEAD_CONTAINER_IMAGE"):
        image.list_images(data_dir=tmp_path)
