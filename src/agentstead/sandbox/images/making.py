"""Makes an image of what somebody has: an OCI layout, or the tarball of a root file system.

An image appears whole or not at all; what lies half made in a draft is deleted.
"""

import re
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

from agentstead.errors import Misconfigured
from agentstead.sandbox.images import layout, unpacking
from agentstead.sandbox.images.image import ROOT, Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.images.layout import Files, Manifest
from agentstead.sandbox.images.unpacking import CannotUnpack, Unpacked
from agentstead.sandbox.managers import hosts_in
from agentstead.sandbox.supervisor import disk, userns

OURS = frozenset(
    [
        "HOME",
        "USER",
        "LOGNAME",
        "SHELL",
        "TERM",
        "PWD",
        "TMPDIR",
        "HOSTNAME",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ]
)
"""Variables that an image has no say in."""
OWN_PATH = "/workspace/.local/bin"
TAGS = re.compile(r"[^a-z0-9._-]+")


Parts = tuple[str, int, dict[str, str]]
"""Of what was unpacked: the image's id, its size in bytes, the environment it asks for."""


def make(
    images: Images, path: Path, name: str, now: str, say: Callable[[str], None], ref: str | None
) -> tuple[Image, bool]:
    """An image of what lies at `path`, and whether it is new. Raises Misconfigured.

    `ref`: the name of the image to take, where an OCI layout holds several.
    """
    if not path.exists():
        raise Misconfigured(f"{path} does not exist.")
    draft = images.draft()
    try:
        with layout.opened(path) as files:
            if files is not None:
                parts = _of_layout(files, draft, say, ref)
            elif path.is_dir():
                raise CannotUnpack(
                    f"{path} is a folder without index.json, so it is no OCI layout.\n"
                    "Name an OCI layout (skopeo copy … oci:FOLDER) or a tarball of a root file system."
                )
            else:
                parts = _of_tarball(path, draft, say)
        return finish(images, draft, name, now, parts)
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise CannotUnpack(f"{path} cannot be read: {error}.") from error
    finally:
        disk.delete(draft)


def finish(images: Images, draft: Path, name: str, now: str, parts: Parts) -> tuple[Image, bool]:
    """Make what was unpacked into a draft an image."""
    image_id, size, env = parts
    found = unpacking.furnish(draft / ROOT, f"The image {name}")
    known = any(image.id == image_id for image in images.all())
    image = Image(
        id=image_id,
        name=name,
        created_at=now,
        title=printable(found["title"]) or name,
        python=found["python"],
        size_bytes=size,
        ranged=(draft / ROOT).stat().st_uid == userns.FIRST,
        env=_env(env),
        package_hosts=hosts_in([found["apt"]]),
    )
    return images.add(draft, image), not known


def _of_layout(files: Files, draft: Path, say: Callable[[str], None], ref: str | None) -> Parts:
    chosen: Manifest = layout.manifest(files, ref)
    root, size = unpacking.prepare(draft), 0
    for number, layer in enumerate(chosen.layers, 1):
        what = f"Layer {number} of {len(chosen.layers)}"
        say(f"{what}: {layer.size_bytes >> 20} MiB …")
        try:
            with files.open(layout.blob(layer.digest)) as archive:
                seen = unpacking.unpack(root, archive, what, layer=True)
        except KeyError:
            raise CannotUnpack(f"It is not whole: {what.lower()} is missing.") from None
        if seen.packed != layer.digest or seen.plain != layer.plain:
            raise CannotUnpack(f"{what} does not have the digest it should have.")
        size += seen.size_bytes
        _tell(seen, say)
    return chosen.id, size, dict(chosen.env)


def _of_tarball(path: Path, draft: Path, say: Callable[[str], None]) -> Parts:
    with path.open("rb") as archive:
        seen = unpacking.unpack(unpacking.prepare(draft), archive, path.name, layer=False)
    _tell(seen, say)
    return seen.packed, seen.size_bytes, {}


def _tell(seen: Unpacked, say: Callable[[str], None]) -> None:
    if seen.left_out:
        say(f"{seen.left_out} devices and pipes were left out")


def printable(text: str) -> str:
    """What an image says of itself, harmless on a terminal."""
    return "".join(letter for letter in text if letter.isprintable())


def _env(given: dict[str, str]) -> dict[str, str]:
    env = {name: value for name, value in given.items() if name not in OURS}
    if "PATH" in env:
        env["PATH"] = f"{OWN_PATH}:{env['PATH']}"
    return env


def name_for(path: Path) -> str:
    """A name for the image of a file or folder."""
    stem = path.name.lower()
    for ending in (".gz", ".xz", ".bz2", ".zst", ".tgz", ".tar"):
        stem = stem.removesuffix(ending)
    return TAGS.sub("-", stem).strip("-._")[:63] or "image"
