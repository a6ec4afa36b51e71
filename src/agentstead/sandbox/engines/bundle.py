"""The program that runs inside of containers, as one file: made of the platform's own modules at need."""

import io
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path

SOURCE = Path(__file__).parents[2]
PARTS = (
    "__init__.py",
    "errors.py",
    "sandbox/__init__.py",
    "sandbox/outputs.py",
    "sandbox/sandbox.py",
    "sandbox/uploads.py",
    "sandbox/guest/*.py",
    "sandbox/supervisor/*.py",
    "sandbox/supervisor/runner/*.py",
)
START = "from agentstead.sandbox.guest.entry import main\n\nmain()\n"
MADE = (1980, 1, 1, 0, 0, 0)
"""The same modules are the same file, whenever it is made."""


@cache
def bundle() -> bytes:
    """The file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for part in PARTS:
            for file in sorted(SOURCE.glob(part)):
                name = f"agentstead/{file.relative_to(SOURCE).as_posix()}"
                archive.writestr(
                    zipfile.ZipInfo(name, MADE), file.read_bytes(), zipfile.ZIP_DEFLATED
                )
        archive.writestr(zipfile.ZipInfo("__main__.py", MADE), START)
    return packed.getvalue()


@cache
def version() -> str:
    """What tells this one from others."""
    return sha256(bundle()).hexdigest()[:16]
