"""The data directory: making it, and what a PostgreSQL under another uid needs of it.

Promises: the mode of an existing directory is never changed. A new one is 0700; as root 0711,
because the database and the sandboxes below it belong to other users, who may pass through it
but not look around.
"""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from agentstead.errors import Misconfigured

SYSTEM_USER = "agentstead"


def make(path: Path) -> Path:
    """Create the data directory, its parents too, unless it is there; its absolute path."""
    path = path.expanduser().absolute()
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        for folder in reversed([path, *path.parents]):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(mode if folder == path else 0o755)
    except OSError as error:
        raise Misconfigured(
            f"The data directory {path} cannot be made ({error.strerror}: {error.filename}). "
            "Choose another one with --data-dir."
        ) from error
    if not path.is_dir():
        raise Misconfigured(f"The data directory {path} is not a directory.")
    return path


def make_private(path: Path, owner: pwd.struct_passwd | None) -> None:
    """Create a 0700 directory that belongs to `owner` (None: to us), unless it is there."""
    if path.exists():
        return
    path.mkdir(mode=0o700)
    if owner:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def write_private(path: Path, text: str, owner: pwd.struct_passwd | None = None) -> None:
    """Write a 0600 file, whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
        if owner:
            os.fchown(handle, owner.pw_uid, owner.pw_gid)
    draft.replace(path)


def database_owner() -> pwd.struct_passwd | None:
    """As root the system user PostgreSQL runs under, made when missing; None: ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        pass
    trouble = "useradd is not installed"
    if useradd := shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin"):
        made = subprocess.run(
            [useradd, "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
             "--shell", "/usr/sbin/nologin", SYSTEM_USER],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        trouble = made.stderr.strip()
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        raise Misconfigured(
            f"PostgreSQL must not run as root, and the system user '{SYSTEM_USER}' cannot be made "
            f"({trouble}). Create it (useradd --system {SYSTEM_USER}), start Agentstead as a plain "
            "user, or name an external database with --database-url."
        ) from None


def check_reachable(path: Path, owner: pwd.struct_passwd | None) -> None:
    """Misconfigured when `owner` cannot pass through a directory on the way to `path`."""
    if owner is None:
        return
    for folder in reversed([path, *path.parents]):
        state = folder.stat()
        if not may_pass(state, owner):
            raise Misconfigured(
                f"The data directory {path} cannot be used: as root the database runs as user "
                f"'{owner.pw_name}', who may not pass through {folder} (mode "
                f"{state.st_mode & 0o7777:04o}). Choose a data directory outside of it with "
                f"--data-dir (default /var/lib/agentstead), or allow it: chmod o+x {folder}"
            )


def may_pass(state: os.stat_result, owner: pwd.struct_passwd) -> bool:
    """Whether a directory lets `owner` through: as the kernel says, only one class of mode counts."""
    if state.st_uid == owner.pw_uid:
        return bool(state.st_mode & 0o100)
    if state.st_gid == owner.pw_gid:
        return bool(state.st_mode & 0o010)
    return bool(state.st_mode & 0o001)
