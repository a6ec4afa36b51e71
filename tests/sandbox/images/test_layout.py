"""Which image of a layout is taken, and what a layout must be."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agentstead.sandbox.images import layout
from agentstead.sandbox.images.layout import Folder, manifest
from agentstead.sandbox.images.unpacking import CannotUnpack
from tests.support.images import Layout, archive, entry

OTHER = {"os": "linux", "architecture": "riscv64"}
ONE, TWO = archive((entry("one"), b"1")), archive((entry("two"), b"2"))


@pytest.fixture
def made(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "layout")


def named(entry: dict[str, object], name: str) -> dict[str, object]:
    return {**entry, "annotations": {layout.REF: name}}


def test_the_one_for_this_machine_is_taken(made: Layout) -> None:
    ours = made.manifest(ONE)
    inner = made.document(
        "application/vnd.oci.image.index.v1+json",
        {"manifests": [{**made.manifest(TWO, machine="riscv64"), "platform": OTHER}, ours]},
    )
    unknown = {**made.manifest(TWO), "platform": {"os": "unknown", "architecture": "unknown"}}
    found = manifest(Folder(made.index(inner, unknown)))
    assert f"sha256:{found.id}" == ours["digest"]
    assert len(found.layers) == 1


def test_one_of_several_has_to_be_named(made: Layout) -> None:
    one, two = named(made.manifest(ONE), "one"), named(made.manifest(TWO), "two")
    files = Folder(made.index(one, two))
    with pytest.raises(CannotUnpack, match="several images: one, two"):
        manifest(files)
    assert f"sha256:{manifest(files, 'two').id}" == two["digest"]
    with pytest.raises(CannotUnpack, match='no image named "three"'):
        manifest(files, "three")


def test_an_image_for_another_machine_is_refused(made: Layout) -> None:
    with pytest.raises(CannotUnpack, match="for linux on riscv64; this machine is Linux on"):
        manifest(Folder(made.index(made.manifest(ONE, machine="riscv64"))))


Broken = Callable[[dict[str, object]], dict[str, object]]


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda entry: {**entry, "size": None}, "no size"),
        (lambda entry: {**entry, "digest": "sha256:../../etc/passwd"}, "no SHA-256 digest"),
        (lambda entry: {**entry, "digest": "md5:1"}, "no SHA-256 digest"),
        (lambda entry: {**entry, "digest": f"sha256:{'0' * 64}"}, "not whole: blobs/sha256/000"),
        (lambda entry: [], "no size"),
    ],
)
def test_a_broken_entry_is_refused(made: Layout, broken: Broken, said: str) -> None:
    with pytest.raises(CannotUnpack, match=said):
        manifest(Folder(made.index(broken(made.manifest(ONE)))))


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "not valid JSON"), ("[]", "not a JSON object"), ("{}", "no image for Linux")],
)
def test_a_broken_index_is_refused(made: Layout, text: str, said: str) -> None:
    (made.folder / "index.json").write_text(text)
    with pytest.raises(CannotUnpack, match=said):
        manifest(Folder(made.folder))


def test_layers_and_their_digests_belong_together(made: Layout) -> None:
    entry = made.manifest(ONE)
    blob = made.folder / "blobs/sha256" / str(entry["digest"]).removeprefix("sha256:")
    body = json.loads(blob.read_text())
    again = made.document("application/vnd.oci.image.manifest.v1+json", {**body, "layers": []})
    with pytest.raises(CannotUnpack, match="lists 0 layers and its configuration 1"):
        manifest(Folder(made.index(again)))
