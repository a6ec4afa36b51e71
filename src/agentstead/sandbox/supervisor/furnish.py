"""Makes an unpacked root file system fit for sandboxes, from within it: places to mount at, and a look at
what is there. Everything reported was chosen by whoever made the image."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDERS = ("etc", "usr", "var", "var/tmp", "proc", "dev", "run", "tmp", "workspace")
FOLDERS_OF_MOUNTS = ("mnt", "mnt/user", "mnt/session", "mnt/session/outputs", "mnt/session/uploads")
ETC = ("passwd", "group", "hosts", "resolv.conf", "nsswitch.conf", "hostname")
"""Files that a sandbox's own are put over."""
ROOTS = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-")
TRUST = {
    "/etc/ssl/certs/ca-certificates.crt": "/usr/local/share/ca-certificates",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem": "/etc/pki/ca-trust/source/anchors",
}
"""The authorities that a system trusts, in one file, and where those lie that somebody added."""
PYTHONS = ("/usr/bin/python3", "/usr/local/bin/python3", "/bin/python3", "/opt/venv/bin/python3")
RELEASES = ("/etc/os-release", "/usr/lib/os-release")
APT = Path("/etc/apt")
NO_SERVICES = Path("/usr/sbin/policy-rc.d")
TEXT_MAX = 64 << 10


class Unfit(Exception):
    """No sandbox can be made of this file system; the message says why and what to do."""


def furnish(authorities: Sequence[str], *, owned: bool) -> dict[str, Any]:
    """All of it. Raises Unfit.

    `authorities`: certificates (PEM) to trust; `owned`: its files belong to users of their own.
    """
    os.chmod("/", 0o755)
    for name in FOLDERS + FOLDERS_OF_MOUNTS:
        _folder(name)
    os.chmod("/tmp", 0o1777)
    os.chmod("/var/tmp", 0o1777)
    for name in ETC:
        _file(f"/etc/{name}")
    for name in () if owned else ROOTS:
        # where everything belongs to the sandbox's user, nothing else keeps it from reading them
        Path(name).unlink(missing_ok=True)
    _trust(authorities)
    if APT.is_dir() and not NO_SERVICES.exists():
        # packages are installed where nothing may be started
        NO_SERVICES.parent.mkdir(parents=True, exist_ok=True)
        NO_SERVICES.write_text("#!/bin/sh\nexit 101\n")
        NO_SERVICES.chmod(0o755)
    if not os.access("/bin/bash", os.X_OK):
        raise Unfit(
            "it has no /bin/bash, which tools run in: make it from an image that has one"
            " (`apt-get install bash`, `apk add bash`)"
        )
    return {"python": _python(), "title": _title(), "apt": _apt()}


def _folder(name: str) -> None:
    path = Path("/", name)
    if path.is_symlink() or not path.is_dir():
        if name in ("etc", "usr"):
            raise Unfit(f"it has no folder /{name}, so it is no root file system of Linux")
        if os.path.lexists(path):
            path.unlink()
        path.mkdir(parents=True)
        path.chmod(0o755)


def _file(name: str) -> None:
    try:
        if stat.S_ISREG(os.lstat(name).st_mode):
            return
        os.unlink(name)
    except FileNotFoundError:
        pass
    os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))


def _trust(authorities: Sequence[str]) -> None:
    """Put them where the image keeps what it trusts, and where that is made anew from."""
    for bundle, anchors in TRUST.items():
        file = Path(bundle)
        if not file.is_file():
            continue
        known = file.read_text(errors="surrogateescape")
        fresh = [text for text in authorities if text not in known]
        with file.open("a", errors="surrogateescape") as target:
            target.writelines(f"{text}\n" for text in fresh)
        Path(anchors).mkdir(parents=True, exist_ok=True)
        for number, text in enumerate(fresh, 1):
            (Path(anchors) / f"agentstead-host-{number}.crt").write_text(f"{text}\n")


def _python() -> str:
    for path in PYTHONS:
        if os.access(path, os.X_OK):
            return path
    raise Unfit(
        f"it has no Python (looked for {', '.join(PYTHONS)}), which runs the tools in a sandbox: make it"
        " from an image that has one (`apt-get install python3`, `apk add python3`, or any python image)"
    )


def _title() -> str:
    for name in RELEASES:
        for line in _text(Path(name)).splitlines():
            if line.startswith("PRETTY_NAME="):
                return line.partition("=")[2].strip("\"'")[:100]
    return ""


def _apt() -> str:
    files = [APT / "sources.list"]
    if (APT / "sources.list.d").is_dir():
        files += sorted((APT / "sources.list.d").iterdir())
    lines = "\n".join(_text(file) for file in files).splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))[:TEXT_MAX]


def _text(file: Path) -> str:
    try:
        with file.open("rb") as source:
            return source.read(TEXT_MAX).decode("utf-8", "replace")
    except OSError:
        return ""
