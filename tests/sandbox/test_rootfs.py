"""What bubblewrap is told of the file system: which part of an image is seen, and what of the host is not."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from agentstead.sandbox.supervisor import rootfs
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.supervisor.rootfs import (
    ETC,
    OPAQUE,
    Arguments,
    BadMount,
    System,
    add_file_system,
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path / "sandboxes", "sesn_1")
    made.make()
    made.make_files(os.geteuid())
    return made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return part(tmp_path / "image", *(f"etc/{name}" for name in ETC), "usr/bin/x", "opt/x")


def part(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def words(place: Place, system: System) -> str:
    arguments = Arguments()
    try:
        add_file_system(arguments, place, system, [])
    finally:
        for descriptor in arguments.descriptors:
            os.close(descriptor)
    return " ".join(arguments.words)


def seen(place: Place, image: Path, layers: Sequence[Path]) -> str:
    return words(place, System(image, layers))


def test_an_images_folders_are_seen_and_its_own_places_are_not(place: Place, image: Path) -> None:
    part(image, "root/secret", "boot/kernel", "workspace/x", "run/x", ".dockerenv", "app/x")
    (image / "bin").symlink_to("usr/bin")
    said = seen(place, image, ())
    for name in ("usr", "opt", "app", "etc"):
        assert f"--ro-bind {image}/{name} /{name} " in said
    assert "--symlink usr/bin /bin" in said
    for name in ("root", "boot", "workspace", "run", ".dockerenv"):
        assert f"{image}/{name}" not in said
    assert said.endswith("--remount-ro /")


def test_what_layers_have_of_a_folder_is_joined_with_the_images(
    place: Place, image: Path, tmp_path: Path
) -> None:
    one, two = part(tmp_path / "one", "usr/bin/y"), part(tmp_path / "two", "usr/z", "srv/z")
    said = seen(place, image, (one, two))
    joined = " ".join(f"--overlay-src {root}/usr" for root in (image, one, two))
    assert f"{joined} --ro-overlay /usr" in said
    assert f"--ro-bind {two}/srv /srv" in said
    assert f"--ro-bind {image}/opt /opt" in said


def test_the_topmost_part_says_what_a_name_is(place: Place, image: Path, tmp_path: Path) -> None:
    layer = part(tmp_path / "layer", "usr/y")
    os.setxattr(layer / "usr", OPAQUE, b"y")
    (layer / "opt").symlink_to("usr/opt")
    said = seen(place, image, (layer,))
    assert f"--ro-bind {layer}/usr /usr" in said, "it hides what lies below it"
    assert "--symlink usr/opt /opt" in said
    assert f"{image}/opt" not in said
    if os.geteuid() == 0:
        (layer / "opt").unlink()
        os.mknod(layer / "opt", 0o020000, os.makedev(0, 0))
        assert " /opt " not in seen(place, image, (layer,)), "it was deleted"


@pytest.mark.parametrize("trap", ["link", "folder", "missing", "linked folder"])
def test_our_files_are_put_over_plain_files_only(place: Place, image: Path, trap: str) -> None:
    hosts = image / "etc/hosts"
    hosts.unlink()
    if trap == "link":
        hosts.symlink_to("/etc/shadow")
    elif trap == "folder":
        hosts.mkdir()
    elif trap == "linked folder":
        hosts.touch()
        (image / "etc").rename(image / "else")
        (image / "etc").symlink_to("else")
    with pytest.raises(BadMount, match=r"in the image|of the image must be a file"):
        seen(place, image, ())


def test_settings_of_the_hosts_programs_are_covered(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered, link = part(tmp_path / "etc", "npmrc"), tmp_path / "link"
    link.symlink_to(covered)
    conf = tmp_path / "pip.conf"
    conf.touch()
    monkeypatch.setattr(rootfs, "HIDDEN", (str(covered), str(link), str(tmp_path / "nowhere")))
    monkeypatch.setattr(rootfs, "HIDDEN_FILES", (str(conf),))
    said = words(place, System())
    assert f"--tmpfs {covered} --remount-ro {covered}" in said
    assert said.index("--ro-bind /usr /usr") < said.index(str(covered))
    assert str(link) not in said
    assert f" {conf} " in said


def test_a_part_that_is_gone_is_named(place: Place, image: Path) -> None:
    with pytest.raises(BadMount, match="not there any more: gone"):
        System.of({"image": str(image), "layers": ["/nowhere/gone"]}, place)
