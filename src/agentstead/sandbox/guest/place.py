"""The folder of a sandbox inside of its container: the agent's folders lie where the agent sees them.

`/agentstead` is a volume of its own. Of it the agent's user can read the program and nothing else; where
supervisor and agent have containers of their own, the agent's does not have the volume at all.
"""

import os
from pathlib import Path

from agentstead.sandbox.supervisor.place import UPLOADS, UPLOADS_TARGET, WRITABLE, Place

STATE = "/agentstead"
BUNDLE = f"{STATE}/lib.pyz"
"""The program, as one file."""
CONFIG = "AGENTSTEAD_SANDBOX_CONFIG"
"""The variable of a container that says what the sandbox is made of, as JSON."""
BODIES = "bodies"
"""Folder of what has come in for the uploads."""
AGENT_UID = 1000
FOLDERS = {**WRITABLE, UPLOADS: UPLOADS_TARGET}


class GuestPlace(Place):
    """The one sandbox of this container."""

    def folder(self, name: str) -> Path:
        """One of the folders that the agent sees."""
        return Path(FOLDERS[name])

    def make_files(self, uid: int) -> None:
        """Make what the agent works in, its own."""
        for name, target in FOLDERS.items():
            folder = Path(target)
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            if os.geteuid() == 0 and name in WRITABLE and name != "tmp":
                os.chown(folder, uid, uid)


def guest_place(sandbox_id: str) -> GuestPlace:
    """Where everything of this sandbox lies."""
    return GuestPlace(Path(STATE), sandbox_id)
