"""Puts uploaded files where a sandbox sees them, also while it runs.

The folder of uploads is bound into the sandbox read-only as a whole, so a file put there on the host
is there inside at once, and one that is removed is gone. Bodies are linked, not copied, where the
file system can; nobody inside can change one, whoever owns it.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from agentstead.errors import SandboxFault
from agentstead.sandbox.sandbox import Upload
from agentstead.sandbox.supervisor.place import UPLOADS, Place

LIST = "uploads.json"
"""What lies in the folder: path → the host's file it was made from."""
LOCK = "uploads.lock"
DRAFT = "uploads.new"


def put_in_place(place: Place, uploads: Sequence[Upload]) -> None:
    """Make the folder hold these files and nothing else; SandboxFault when it cannot.

    Costs one look when nothing has changed. Several processes may do it at once.
    """
    wanted = {upload.path: upload.source for upload in uploads}
    if not wanted and not holds_uploads(place):
        return
    if listed(place) == wanted:
        return
    with _locked(place):
        present = listed(place)
        changed = [path for path in {**present, **wanted} if present.get(path) != wanted.get(path)]
        # listed before it is there: whoever dies in between leaves nothing that nobody knows of
        _write(place, {**present, **dict.fromkeys(changed, "")})
        try:
            _remove(place, changed)
            for path in changed:
                if path in wanted:
                    _add(place, path, wanted[path])
        except OSError as error:
            raise SandboxFault(
                f"An uploaded file cannot be mounted: {error.strerror}", kind="start"
            ) from error
        _write(place, wanted)


@contextmanager
def _locked(place: Place) -> Iterator[None]:
    place.make()
    for folder in (place.files, place.folder(UPLOADS)):
        folder.mkdir(exist_ok=True)
        if folder.stat().st_uid == os.geteuid():  # an engine's volume is the engine's
            folder.chmod(0o755)
    with place.alone(LOCK):
        yield


def holds_uploads(place: Place) -> bool:
    """Whether files were ever put there; quick enough to be asked on an event loop."""
    return (place.path / LIST).exists()


def take_away(place: Place, gone: Mapping[str, str]) -> None:
    """Remove these files, unless another has taken the place of one meanwhile."""
    if not holds_uploads(place):
        return
    with _locked(place):
        present = listed(place)
        paths = [path for path, source in gone.items() if present.get(path) == source]
        _remove(place, paths)
        _write(place, {path: present[path] for path in present if path not in paths})


def listed(place: Place) -> dict[str, str]:
    """What lies in the folder: path → the host's file it was made from."""
    try:
        found: dict[str, str] = json.loads((place.path / LIST).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found


def _write(place: Place, wanted: dict[str, str]) -> None:
    fresh = place.path / f"{LIST}.new"
    fresh.write_text(json.dumps(wanted))
    fresh.replace(place.path / LIST)


def _remove(place: Place, paths: Iterable[str]) -> None:
    root = place.folder(UPLOADS)
    for path in paths:
        file = _inside(root, path)
        file.unlink(missing_ok=True)
        for folder in file.parents:
            if folder == root:
                break
            with suppress(OSError):  # it holds other files
                folder.rmdir()


def _add(place: Place, path: str, source: str) -> None:
    root = place.folder(UPLOADS)
    target = _inside(root, path)
    for folder in reversed(target.relative_to(root).parents[:-1]):
        made = root / folder
        made.mkdir(exist_ok=True)
        made.chmod(0o755)
    try:
        os.link(source, target)
    except OSError:
        # another file system, or one without links
        draft = place.path / DRAFT
        draft.unlink(missing_ok=True)
        shutil.copyfile(source, draft)
        draft.chmod(0o644)
        shutil.move(draft, target)


def _inside(root: Path, path: str) -> Path:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise SandboxFault(f"{path!r} is not a path below the uploads", kind="start")
    return root.joinpath(*parts)
