"""From what somebody has to an image: layouts, tarballs, and what no sandbox can be made of."""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agentstead.errors import AgentsteadError
from agentstead.sandbox.images import authorities
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.images.making import make, name_for
from agentstead.sandbox.supervisor import disk
from tests.support.images import Layout, archive, entry
from tests.support.sandboxes import needed

BARE = [
    entry("usr/bin", tarfile.DIRTYPE, mode=0o755),
    entry("etc", tarfile.DIRTYPE, mode=0o755),
    entry("bin", tarfile.SYMTYPE, linkname="usr/bin"),
]
BASH = (entry("usr/bin/bash", mode=0o755), b"#!")
PYTHON = (entry("usr/local/bin/python3", mode=0o755), b"#!")
WHOLE = archive(*BARE, BASH, PYTHON, (entry("etc/os-release"), b'PRETTY_NAME="Own\x1b[31m 1"\n'))
Make = Callable[..., tuple[Image, bool]]


@pytest.fixture
async def images(tmp_path: Path) -> Images:
    await needed()
    return Images(tmp_path / "images")


@pytest.fixture
def make_it(images: Images) -> Iterator[Make]:

    def made(path: Path, name: str = "x", ref: str | None = None) -> tuple[Image, bool]:
        return make(images, path, name, "2026-01-01T00:00:00Z", lambda _: None, ref)

    yield made
    disk.delete(images.root)


def tarball(path: Path, *entries: object) -> Path:
    path.write_bytes(archive(*entries))  # type: ignore[arg-type]
    return path


def drafts(images: Images) -> list[str]:
    return [entry.name for entry in images.root.iterdir() if entry.name.startswith(".")]


def test_a_layout_becomes_an_image(images: Images, make_it: Make, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    upper = archive((entry("opt/own"), b"upper"), entry("etc/.wh.os-release"))
    env = ["PATH=/opt/bin:/usr/bin", "GREETING=a=b", "HOME=/root", "HTTP_PROXY=http://x", "broken"]
    folder = layout.index(layout.manifest(WHOLE, upper, env=env))
    image, new = make_it(folder)
    assert (new, image.python, image.title) == (True, "/usr/local/bin/python3", "x")
    assert image.env == {"PATH": "/workspace/.local/bin:/opt/bin:/usr/bin", "GREETING": "a=b"}
    root = images.opened(image.id)[1]
    assert (root / "opt/own").read_text() == "upper"
    assert not (root / "etc/os-release").exists()
    assert {"workspace", "mnt", "tmp", "var"} <= {path.name for path in root.iterdir()}
    assert drafts(images) == []

    again, new = make_it(layout.packed(tmp_path / "layout.tar"), "renamed")
    assert (again.id, new) == (image.id, False), "as an archive it is the same image"
    assert images.all() == [replace(image, name="renamed")]


def test_what_an_image_says_of_itself_is_harmless(make_it: Make, tmp_path: Path) -> None:
    (tmp_path / "own.tar").write_bytes(WHOLE)
    assert make_it(tmp_path / "own.tar")[0].title == "Own[31m 1"


def test_a_part_with_another_digest_is_refused(
    images: Images, make_it: Make, tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "layout")
    folder = layout.index(layout.manifest(WHOLE))
    packed = gzip.compress(WHOLE)
    blobs = folder / "blobs/sha256"
    (layer,) = [path for path in blobs.iterdir() if path.read_bytes()[:2] == b"\x1f\x8b"]
    layer.write_bytes(gzip.compress(WHOLE + bytes(512)))
    with pytest.raises(AgentsteadError, match="Layer 1 of 1 does not have the digest"):
        make_it(folder)
    layer.write_bytes(packed)
    (manifest,) = [path for path in blobs.iterdir() if b"schemaVersion" in path.read_bytes()]
    manifest.write_bytes(manifest.read_bytes() + b" ")
    with pytest.raises(AgentsteadError, match=r"manifest .* does not have the digest"):
        make_it(folder)
    layer.unlink()
    with pytest.raises(AgentsteadError, match="manifest"):
        make_it(folder)
    assert images.all() == []
    assert drafts(images) == []


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([*BARE, BASH], "it has no Python .*apt-get install python3"),
        ([*BARE, PYTHON], "it has no /bin/bash.*apt-get install bash"),
        ([BASH, PYTHON], "no folder /etc, so it is no root file system"),
    ],
)
def test_what_no_sandbox_can_be_made_of_says_what_is_missing(
    images: Images, make_it: Make, tmp_path: Path, entries: list[object], said: str
) -> None:
    with pytest.raises(AgentsteadError, match=said):
        make_it(tarball(tmp_path / "x.tar", *entries))
    assert images.all() == []


def test_what_is_nothing_of_the_kind_is_refused(make_it: Make, tmp_path: Path) -> None:
    with pytest.raises(AgentsteadError, match="does not exist"):
        make_it(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    with pytest.raises(AgentsteadError, match="no OCI layout"):
        make_it(tmp_path / "folder")
    (tmp_path / "text").write_text("hello" * 200)
    with pytest.raises(AgentsteadError, match="text cannot be used: it is damaged, or no tar"):
        make_it(tmp_path / "text")


def test_traps_in_etc_are_taken_out(images: Images, make_it: Make, tmp_path: Path) -> None:
    trap = entry("etc/passwd", tarfile.SYMTYPE, linkname="/proc/1/mem")
    folder = entry("etc/hosts", tarfile.SYMTYPE, linkname="../../../../etc/hosts")
    image, _ = make_it(tarball(tmp_path / "x.tar", *BARE, BASH, PYTHON, trap, folder))
    etc = images.opened(image.id)[1] / "etc"
    assert all(
        (etc / name).is_file() and not (etc / name).is_symlink() for name in ("passwd", "hosts")
    )


def test_an_image_is_found_by_name_id_and_its_beginning(
    images: Images, make_it: Make, tmp_path: Path
) -> None:
    first, _ = make_it(tarball(tmp_path / "1.tar", *BARE, BASH, PYTHON), "own")
    assert images.resolve(None) == images.resolve("host") == ""
    for name in ("own", first.id, f"sha256:{first.id}", first.id[:8]):
        assert images.find(name) == first
    for name in ("other", first.id[:3], "", "../own"):
        with pytest.raises(AgentsteadError, match=r'There is no image.*there are "host", "own"'):
            images.find(name)
    images.use(first.id)
    assert images.in_force() == first
    assert Images(images.root, "host").in_force() is None, "the setting comes first"
    images.remove(first)
    assert images.all() == []
    with pytest.raises(AgentsteadError, match="There is no image"):
        images.resolve(None)


def test_a_record_that_is_not_whole_is_no_image(
    images: Images, make_it: Make, tmp_path: Path
) -> None:
    image, _ = make_it(tarball(tmp_path / "1.tar", *BARE, BASH, PYTHON))
    record = images.root / image.id / "image.json"
    for text in ("", "[]", '{"id": 1}', record.read_text().replace(image.id, "0" * 64)):
        record.write_text(text)
        assert images.all() == []
    again, new = make_it(tmp_path / "1.tar")
    assert (again, new) == (replace(image), True)


def test_authorities_that_this_machine_added_are_the_images_too(
    images: Images, make_it: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house, known = (
        f"-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----" for name in "HK"
    )
    (tmp_path / "added/deep").mkdir(parents=True)
    key = "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----"
    (tmp_path / "added/deep/both.pem").write_text(f"{key}\n{house}\n{known}\n{house}\n")
    monkeypatch.setattr(authorities, "ADDED", (tmp_path / "added", tmp_path / "nowhere"))
    bundle = (entry("etc/ssl/certs/ca-certificates.crt"), f"{known}\n".encode())
    image, _ = make_it(tarball(tmp_path / "x.tar", *BARE, BASH, PYTHON, bundle))
    root = images.opened(image.id)[1]
    trusted = (root / "etc/ssl/certs/ca-certificates.crt").read_text()
    assert trusted == f"{known}\n{house}\n"
    (anchor,) = (root / "usr/local/share/ca-certificates").iterdir()
    assert anchor.read_text() == f"{house}\n"


def test_a_name_comes_of_the_files(tmp_path: Path) -> None:
    assert name_for(Path("/x/My Image:1.tar.gz")) == "my-image-1"
    assert name_for(Path("/x/.tar")) == "image"
