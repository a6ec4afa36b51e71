"""Reads OCI image layouts, as folders or as tar archives: which layers an image is made of.

Nothing in them is believed: every document must have the digest and the size it was referred to by.
"""

import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from agentstead.sandbox.images.unpacking import CannotUnpack

DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
DOCUMENT_BYTES_MAX = 8 << 20
LAYERS_MAX = 200
DEPTH_MAX = 4
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
MARK, INDEX = "oci-layout", "index.json"
REF = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True)
class Layer:
    """One archive of an image."""

    digest: str
    """SHA-256 of the archive as it lies there."""
    size_bytes: int
    plain: str
    """SHA-256 of it unpacked."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image of a layout."""

    id: str
    layers: tuple[Layer, ...]
    env: Mapping[str, str]


class Files(Protocol):
    """The files of a layout."""

    def open(self, name: str) -> IO[bytes]:
        """One of them; KeyError when it is not there."""
        ...


class Folder:
    """A layout that lies there unpacked."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def open(self, name: str) -> IO[bytes]:
        """One file."""
        try:
            return (self.root / name).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise KeyError(name) from None


class Archive:
    """A layout in a tar archive."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members = {
            member.name.removeprefix("./"): member for member in archive if member.isreg()
        }

    def open(self, name: str) -> IO[bytes]:
        """One file."""
        file = self._archive.extractfile(self._members[name])
        assert file is not None
        return file

    def __contains__(self, name: str) -> bool:
        return name in self._members


@contextmanager
def opened(path: Path) -> Iterator[Files | None]:
    """The layout at a path; None: it is not one."""
    if path.is_dir():
        yield Folder(path) if (path / INDEX).is_file() else None
        return
    try:
        with tarfile.open(path) as archive:
            files = Archive(archive)
            yield files if INDEX in files and MARK in files else None
    except (tarfile.ReadError, EOFError):
        yield None  # packed in a way that only the unpacking knows


def manifest(files: Files, ref: str | None = None) -> Manifest:
    """The image for this machine; `ref`: the one of this name, where there are several."""
    index = _document(files, INDEX, "", None)
    found = list(_fitting(files, index, ref, DEPTH_MAX))
    by_digest = {entry["digest"]: entry for entry in found}
    if not by_digest:
        named = f' named "{ref}"' if ref else ""
        raise CannotUnpack(f"It holds no image{named} for Linux on {platform.machine()}.")
    if len(by_digest) > 1:
        names = ", ".join(sorted({_ref(entry) or entry["digest"] for entry in found}))
        raise CannotUnpack(f"It holds several images: {names}.\nName one with --ref.")
    (entry,) = by_digest.values()
    body = _blob(files, entry, "the manifest")
    config = _blob(files, _entry(body.get("config")), "the configuration")
    _check_machine(config)
    return Manifest(_digest(entry), _layers(body, config), _env(config))


def _fitting(
    files: Files, index: Mapping[str, Any], ref: str | None, depth: int
) -> Iterator[dict[str, Any]]:
    """Entries of manifests that are for this machine, and named as asked."""
    for item in _list(index, "manifests"):
        entry = _entry(item)
        if ref is not None and _ref(entry) not in (ref, None):
            continue
        machine = entry.get("platform") or {}
        if machine and not _ours(machine.get("os"), machine.get("architecture")):
            continue
        if "index" in entry.get("mediaType", "") or "manifest.list" in entry.get("mediaType", ""):
            if depth:
                yield from _fitting(files, _blob(files, entry, "an index"), ref, depth - 1)
        else:
            yield entry


def _layers(body: Mapping[str, Any], config: Mapping[str, Any]) -> tuple[Layer, ...]:
    layers = _list(body, "layers")
    root = config.get("rootfs")
    plain = _list(root if isinstance(root, dict) else {}, "diff_ids")
    if not layers or len(layers) > LAYERS_MAX or len(layers) != len(plain):
        raise CannotUnpack(
            f"Its manifest lists {len(layers)} layers and its configuration {len(plain)}"
            f" (1 to {LAYERS_MAX} can be used)."
        )
    found = []
    for item, digest in zip(layers, plain, strict=True):
        entry = _entry(item)
        found.append(Layer(_digest(entry), entry["size"], _digest({"digest": digest})))
    return tuple(found)


def _env(config: Mapping[str, Any]) -> dict[str, str]:
    inner = config.get("config")
    env = inner.get("Env") if isinstance(inner, dict) else None
    pairs = [text.partition("=") for text in env or () if isinstance(text, str) and "=" in text]
    return {name: value for name, _, value in pairs if name and "\0" not in name + value}


def _check_machine(config: Mapping[str, Any]) -> None:
    system, machine = config.get("os"), config.get("architecture")
    if not _ours(system, machine):
        raise CannotUnpack(
            f"It is an image for {system} on {machine}; this machine is Linux on {platform.machine()}."
        )


def _ours(system: object, machine: object) -> bool:
    return (system, machine) == ("linux", ARCHITECTURES.get(platform.machine()))


def _blob(files: Files, entry: Mapping[str, Any], what: str) -> dict[str, Any]:
    digest = _digest(entry)
    return _document(files, blob(digest), what, digest)


def blob(digest: str) -> str:
    """The name of the file with this SHA-256."""
    return f"blobs/sha256/{digest}"


def _document(files: Files, name: str, what: str, digest: str | None) -> dict[str, Any]:
    try:
        with files.open(name) as file:
            text = file.read(DOCUMENT_BYTES_MAX + 1)
        if digest is not None and hashlib.sha256(text).hexdigest() != digest:
            raise CannotUnpack(f"{what.capitalize()} ({name}) does not have the digest it should.")
        body = json.load(io.BytesIO(text))
    except KeyError:
        raise CannotUnpack(f"It is not whole: {name} is missing.") from None
    except ValueError:
        raise CannotUnpack(f"{name} is not valid JSON.") from None
    if not isinstance(body, dict):
        raise CannotUnpack(f"{name} is not a JSON object.")
    return body


def _entry(item: object) -> dict[str, Any]:
    if not isinstance(item, dict) or not isinstance(item.get("size"), int):
        raise CannotUnpack("One of its entries has no size.")
    _digest(item)
    return item


def _digest(entry: Mapping[str, Any]) -> str:
    found = DIGEST.fullmatch(str(entry.get("digest")))
    if found is None:
        raise CannotUnpack(f"{str(entry.get('digest'))[:80]!r} is no SHA-256 digest.")
    return found.group(1)


def _list(body: Mapping[str, Any], name: str) -> list[Any]:
    found = body.get(name)
    return found if isinstance(found, list) else []


def _ref(entry: Mapping[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    name = annotations.get(REF) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None
