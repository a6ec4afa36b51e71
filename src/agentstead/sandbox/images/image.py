"""What is known about one image; written beside its files when it is made, never changed afterwards."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

HOST = "host"
"""The name of what is no image: the host's own system directories."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
ID = re.compile(r"[0-9a-f]{64}")
SHORT = 12
RECORD = "image.json"
ROOT = "root"


@dataclass(frozen=True, slots=True)
class Image:
    """One image."""

    id: str
    """SHA-256, in hexadecimal: of an OCI image's manifest, or of the tarball it was made from."""
    name: str
    created_at: str
    title: str
    """What it says it is, e.g. `Debian GNU/Linux 12 (bookworm)`."""
    python: str
    """The interpreter that runs our runner in it."""
    size_bytes: int
    ranged: bool
    """Whether its files belong to users of their own, so that packages can be installed into it."""
    env: Mapping[str, str] = field(default_factory=dict)
    """What its maker wants every process to see."""
    package_hosts: tuple[str, ...] = ()
    """Where its apt gets packages."""

    @property
    def short(self) -> str:
        """The beginning of the id, for people."""
        return self.id[:SHORT]


def write(folder: Path, image: Image) -> None:
    """Put the record into the image's folder."""
    fresh = folder / f"{RECORD}.new"
    fresh.write_text(json.dumps(asdict(image), indent=1) + "\n")
    fresh.replace(folder / RECORD)


def read(folder: Path) -> Image | None:
    """The image of a folder; None where there is none that is whole."""
    known = {item.name for item in fields(Image)}
    try:
        said = json.loads((folder / RECORD).read_text())
        values = {name: value for name, value in said.items() if name in known}
        image = Image(**values | {"package_hosts": tuple(said.get("package_hosts", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return image if image.id == folder.name else None
