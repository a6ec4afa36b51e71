"""Builds a Debian root file system with mmdebstrap, straight into an image: no tarball in between."""

import os
import platform
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

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
LAST_SECONDS = 10
UNMOUNT_SECONDS = 60
ASKED = (signal.SIGTERM, signal.SIGHUP)
"""Signals that ask this process to end; an interrupt is an exception already."""


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
        lines: list[str] = []
        seen, fault = None, None
        with _building(words, lines, say) as process:
            assert process.stdout is not None
            try:
                seen = unpacking.unpack(root, process.stdout, "What was built", layer=False)
            except CannotUnpack as error:
                fault = error
                process.stdout.close()
                _end(process, LAST_SECONDS)  # it may be failing itself, and tidying up
        if seen is None or process.returncode:
            raise _failed(process.returncode, lines) from fault
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


@contextmanager
def _building(
    words: Sequence[str], lines: list[str], say: Callable[[str], None]
) -> Iterator["subprocess.Popen[bytes]"]:
    """The program at work. However the block ends, the program has ended after it, with its mounts undone."""
    with _asked_to_end():
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,  # a signal reaches all of it, and only through us
        )
        listener = threading.Thread(target=_listen, args=(process, lines, say), daemon=True)
        listener.start()
        assert process.stdout is not None
        try:
            yield process
        except BaseException:
            _end(process, 0)
            raise
        finally:
            process.stdout.close()
            process.wait()
            listener.join()


def _end(process: "subprocess.Popen[bytes]", patience: float) -> None:
    """See that it ends: by itself, else asked, for it has mounts to undo, else by force."""
    for seconds, number in ((patience, signal.SIGTERM), (UNMOUNT_SECONDS, signal.SIGKILL)):
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)


@contextmanager
def _asked_to_end() -> Iterator[None]:
    """Whoever asks this process to end ends what the block does, in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in ASKED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
