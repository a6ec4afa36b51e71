"""A layer is whole or not there, belongs to the platform, and one builds it at a time."""

import os
import stat
import time
from pathlib import Path

import pytest

from agentstead.sandbox.packages.layers import ABOUT, TREE, Layers

WANTED = {"pip": ["it"]}


def made(layers: Layers, key: str = "a") -> Path:
    """A layer with some of everything in it."""
    lock = layers.lock(key)
    assert lock is not None
    tree = layers.draft(key) / TREE
    (tree / "deep" / "er").mkdir(parents=True)
    (tree / "deep").chmod(0o700)
    (tree / "program").write_text("x")
    (tree / "program").chmod(0o4777)
    (tree / "secret").write_text("x")
    (tree / "secret").chmod(0o600)
    (tree / "link").symlink_to("/etc/shadow")
    os.mkfifo(tree / "pipe")
    layers.publish(key, WANTED, 7.0)
    os.close(lock)
    found = layers.tree(key)
    assert found is not None
    return found


def test_what_was_installed_becomes_the_platforms_and_nobody_is_privileged_by_it(tmp_path) -> None:
    tree = made(Layers(tmp_path))
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in tree.rglob("*")}
    assert modes.pop("link") == 0o777
    assert modes == {"deep": 0o755, "er": 0o755, "program": 0o755, "secret": 0o644}
    assert (tree / "link").is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_of_the_builds_user_are_taken_from_it(tmp_path) -> None:
    layers = Layers(tmp_path)
    tree = layers.draft("a") / TREE
    (tree / "folder").mkdir(parents=True)
    outside = tmp_path / "outside"
    outside.write_text("")
    (tree / "folder" / "link").symlink_to(outside)
    for path in (outside, tree, tree / "folder", tree / "folder" / "link"):
        os.chown(path, 250_000, 250_000, follow_symlinks=False)
    layers.publish("a", WANTED, 7.0)
    found = layers.tree("a")
    assert found is not None
    assert {path.lstat().st_uid for path in (found, *found.rglob("*"))} == {0}
    assert outside.stat().st_uid == 250_000


def test_one_builds_and_the_others_are_told(tmp_path) -> None:
    ours, theirs = Layers(tmp_path), Layers(tmp_path)
    lock = ours.lock("a")
    assert lock is not None
    assert theirs.lock("a") is None
    assert theirs.lock("b") is not None
    assert list(theirs.building()) == []
    ours.begun("a", WANTED, 5.0, "pip")
    ((note),) = theirs.building()
    assert (note.key, note.packages, note.at, note.words) == ("a", WANTED, 5.0, "pip")
    os.close(lock)  # as the kernel does when its holder dies
    assert list(theirs.building()) == []
    lock = theirs.lock("a")
    assert lock is not None
    os.close(lock)


def test_half_a_layer_is_never_used(tmp_path) -> None:
    layers = Layers(tmp_path)
    (layers.draft("a") / TREE).mkdir()
    assert layers.tree("a") is None
    assert layers.listed() == []
    assert list(layers.draft("a").iterdir()) == []  # made anew
    layers.clear("a")
    assert list(tmp_path.iterdir()) == []


def test_layers_say_when_they_were_used_and_can_be_removed(tmp_path) -> None:
    layers = Layers(tmp_path)
    tree = made(layers)
    os.utime(tree.parent / "layer.json", (1.0, 1.0))
    (layer,) = layers.listed()
    assert (layer.key, layer.packages, layer.built_at, layer.used_at) == ("a", WANTED, 7.0, 1.0)
    assert layer.size_bytes > 0
    assert layers.tree("a") == tree
    assert layers.listed()[0].used_at > 1.0
    lock = layers.lock("a")
    assert lock is not None
    assert not layers.remove("a")  # somebody is at it
    os.close(lock)
    assert layers.remove("a")
    assert layers.listed() == []
    assert layers.tree("a") is None


def test_a_failure_is_remembered_until_there_is_a_layer(tmp_path) -> None:
    layers = Layers(tmp_path)
    layers.failed("a", WANTED, 3.0, "no such package")
    failure = layers.failure("a")
    assert failure is not None
    assert (failure.at, failure.words) == (3.0, "no such package")
    assert [note.key for note in layers.failures()] == ["a"]
    made(layers)
    assert layers.failure("a") is None


def test_a_layer_that_is_used_counts_as_used_until_then(tmp_path) -> None:
    layers = Layers(tmp_path)
    made(layers)
    os.utime(tmp_path / "a" / ABOUT, (1000, 1000))
    assert layers.unused(100.0, 1100.0) == []
    assert [layer.key for layer in layers.unused(99.0, 1100.0)] == ["a"]
    layers.tree("a")
    assert layers.unused(99.0, time.time()) == []
