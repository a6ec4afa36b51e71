"""Builds a Debian root file system with mmdebstrap, straight into an image: no tarball in between."""

import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from agentstead.errors import Misconfigured
from agentstead.sandbox.images import unpacking
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.images.making import finish
from agentstead.sandbox.images.unpacking import CannotUnpack
from agentstead.sandbox.supervisor import disk

PROGRAM = "mmdebstrap"
SUITE = "bookworm"
PACKAGES = (
    "ca-certificates", "curl", "diffutils", "git", "less", "procps", "python3", "python3-pip",
    "python3-venv", "ripgrep", "unzip", "xz-utils",
)  # fmt: skip
"""What tools and the programs that agents write expect; everything else is an environment's package."""
NODE = ("nodejs", "npm")
LEAN = (
    "path-exclude=/usr/share/man/*/*",
    "path-exclude=/usr/share/doc/*/*",
    "path-include=/usr/share/doc/*/copyright",
)
"""Nobody reads them in a sandbox; packages installed later leave them out as well. The folders stay: some
packages make links in them."""
LINES_SHOWN = 10


def build(
    images: Images,
    name: str,
    now: str,
    say: Callable[[str], None],
    *,
    suite: str | None = None,
    mirrors: Sequence[str] = (),
    packages: Sequence[str] = (),
) -> Image:
    """An image of a Debian release with these packages besides ours. Raises Misconfigured.

    `suite`: the release's name; None: the host's own where that is a Debian, else the tested one.
    `mirrors`: as mmdebstrap takes them; none: Debian's.
    """
    check()
    include = ",".join([*PACKAGES, *packages])
    words = [PROGRAM, "--variant=minbase", "--format=tar", f"--include={include}"]
    words += [f"--dpkgopt={option}" for option in LEAN]
    words += [suite or _release(), "-", *mirrors]
    draft = images.draft()
    try:
        root = unpacking.prepare(draft)
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        lines: list[str] = []
        listener = threading.Thread(target=_listen, args=(process, lines, say), daemon=True)
        listener.start()
        assert process.stdout is not None
        try:
            with process.stdout:
                seen = unpacking.unpack(root, process.stdout, "What was built", layer=False)
        except CannotUnpack as error:
            process.kill()
            raise _failed(process.wait(), lines) from error
        finally:
            status = process.wait()
            listener.join()
        if status:
            raise _failed(status, lines)
        return finish(images, draft, name, now, (seen.packed, seen.size_bytes, {}))[0]
    finally:
        disk.delete(draft)


def check() -> None:
    """Misconfigured where it cannot be built here."""
    if shutil.which(PROGRAM) is None:
        raise Misconfigured(
            f"The program {PROGRAM} is missing.\nInstall the package {PROGRAM} (Debian, Ubuntu), or make a"
            " tarball or an OCI image elsewhere and use `agentstead image import`."
        )


def _listen(
    process: "subprocess.Popen[bytes]", lines: list[str], say: Callable[[str], None]
) -> None:
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            text = line.decode("utf-8", "replace").rstrip()
            lines.append(text)
            say(text)


def _failed(status: int, lines: Sequence[str]) -> Misconfigured:
    said = "\n".join(lines[-LINES_SHOWN:])
    hint = ""
    if os.geteuid() != 0:
        hint = "\nAs a plain user it needs the package uidmap and a range for this user in /etc/subuid."
    return Misconfigured(f"{PROGRAM} failed with status {status}.\n{said}{hint}")


def _release() -> str:
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    if release.get("ID") == "debian":
        return release.get("VERSION_CODENAME", SUITE)
    return SUITE
