"""Takes files in and hands files out, inside of a container: uploads, read-only folders, outputs."""

import base64
import json
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentstead.errors import SandboxFault
from agentstead.sandbox.guest.place import BODIES
from agentstead.sandbox.outputs import look, opened
from agentstead.sandbox.sandbox import Upload
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.uploads import listed, put_in_place, take_away

PIECE_BYTES = 256 << 10
MOUNTS = "mounts.json"
"""Which folders were unpacked: target → the platform's folder it was made from."""


class Desk:
    """The files of one sandbox."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.bodies = place.path / BODIES
        self.served: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "outputs": self.outputs,
            "read": self.read,
            "listed": self.listed,
            "put": self.put,
            "place": self.lay,
            "take_away": self.take_away,
            "unpack": self.unpack,
        }

    def serve(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what is asked. Raises SandboxFault and OSError."""
        return self.served[message["do"]](message)

    def outputs(self, _: dict[str, Any]) -> dict[str, Any]:
        """What lies in the folder of outputs."""
        found = look(self.place.outputs)
        return {"outputs": [[one.path, one.size_bytes, one.stamp] for one in found]}

    def read(self, message: dict[str, Any]) -> dict[str, Any]:
        """A piece of one; empty at its end."""
        file = opened(self.place.outputs, message["path"])
        if file is None:
            raise SandboxFault(
                f"The output {message['path']!r} is not there any more.", kind="gone"
            )
        with file:
            file.seek(message["offset"])
            return {"data": base64.b64encode(file.read(PIECE_BYTES)).decode()}

    def listed(self, _: dict[str, Any]) -> dict[str, Any]:
        """What was put here: uploads and folders, with what they were made from."""
        uploads = {path: Path(source).name for path, source in listed(self.place).items()}
        return {"uploads": uploads, "mounts": self.mounts()}

    def put(self, message: dict[str, Any]) -> dict[str, Any]:
        """Take in a piece of a body."""
        self.bodies.mkdir(mode=0o700, exist_ok=True)
        body = self.bodies / Path(message["name"]).name
        with body.open("r+b" if message["offset"] else "wb") as file:
            file.seek(message["offset"])
            file.write(base64.b64decode(message["data"]))
        return {}

    def lay(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make the uploads these and no others; bodies that are new have come in before."""
        uploads = [
            Upload(str(self.bodies / Path(name).name), path)
            for path, name in message["uploads"].items()
        ]
        for upload in uploads:
            body = Path(upload.source)
            if body.exists():
                body.chmod(0o644)
        put_in_place(self.place, uploads)
        self.clear()
        return {}

    def take_away(self, message: dict[str, Any]) -> dict[str, Any]:
        """Remove uploads, unless another has taken the place of one meanwhile."""
        gone = {path: str(self.bodies / Path(name).name) for path, name in message["gone"].items()}
        take_away(self.place, gone)
        return {}

    def unpack(self, message: dict[str, Any]) -> dict[str, Any]:
        """Make a read-only folder of an archive that has come in."""
        target = Path(message["target"])
        body = self.bodies / Path(message["name"]).name
        if target.is_dir():
            shutil.rmtree(target)
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tarfile.open(body) as archive:
            # made by the platform of folders of its own, so nothing in it is hostile
            archive.extractall(target.parent, numeric_owner=True)
        known = {**self.mounts(), message["target"]: message["source"]}
        fresh = self.place.path / f"{MOUNTS}.new"
        fresh.write_text(json.dumps(known))
        fresh.replace(self.place.path / MOUNTS)
        self.clear()
        return {}

    def mounts(self) -> dict[str, str]:
        """The folders that were unpacked."""
        try:
            found: dict[str, str] = json.loads((self.place.path / MOUNTS).read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def clear(self) -> None:
        """What has come in is in its place now."""
        shutil.rmtree(self.bodies, ignore_errors=True)
