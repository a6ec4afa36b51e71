"""Installs into an image: what changes becomes a layer, a folder to be put on top of that image.

The commands run as the image's root: a user of the host's that owns images and nothing else, in a sandbox
with its limits, its filter and its way out through the egress proxy. A layer appears whole or not at all.
"""

import asyncio
import hashlib
import json
import os
import shlex
import stat
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from agentstead.errors import SandboxFault
from agentstead.sandbox import ending, link
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.sandbox import SandboxSpec
from agentstead.sandbox.supervisor import disk, userns
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.supervisor.rootfs import ETC, NOT_OF_IMAGE

AS_ROOT = {
    "HOME": "/root",
    "USER": "root",
    "LOGNAME": "root",
    "DEBIAN_FRONTEND": "noninteractive",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
}
PLAIN_USER = (
    "Packages can be installed into an image only where the platform runs as root:"
    " the image's files need users of their own."
)


class LayerFailed(SandboxFault):
    """A command failed; its last lines are in `lines`, its place among the commands in `number`."""

    def __init__(self, number: int, lines: Sequence[str]) -> None:
        super().__init__(f"Installing failed: {lines[-1] if lines else 'no output'}")
        self.number = number
        self.lines = tuple(lines)


def layer_id(spec: SandboxSpec, scripts: Sequence[str]) -> str:
    """The same for the same commands on the same image, so that a build goes on where one was lost."""
    what = [spec.image, spec.layers, dict(spec.env), list(scripts)]
    return f"layer-{hashlib.sha256(json.dumps(what).encode()).hexdigest()[:32]}"


async def build_layer(
    builds: Bubblewrap,
    spec: SandboxSpec,
    scripts: Sequence[str],
    into: Path,
    *,
    sandbox_id: str = "",
) -> AsyncIterator[tuple[str, ...]]:
    """Run shell scripts one after the other on `spec.image`; `into` becomes what they changed.

    Yields the output of each, in lines, when it has ended. `builds`: sandboxes made with `installing`.
    `sandbox_id`: of the one they run in, where it should be the same for the same build in words of the
    caller's.
    `spec`: limits (`call_seconds` is for each script), network, environment, layers below.
    Raises LayerFailed for a script that fails, SandboxFault where it cannot run. As a plain user that
    is always.
    """
    if os.geteuid() != 0:
        raise SandboxFault(PLAIN_USER, kind="start")
    place = Place(builds.root, sandbox_id or layer_id(spec, scripts))
    inside = replace(spec, env={**AS_ROOT, **spec.env})
    try:
        for number, script in enumerate(scripts):
            # a shell of its own each: what one sets, or its exit, is nothing to the next
            command = {"command": f"bash -c {shlex.quote(script)}"}
            outcome = await builds.call(
                place.sandbox_id, inside, f"script-{number}", "bash", command
            )
            text = "\n".join(str(block.get("text", "")) for block in outcome.content)
            lines = tuple(text.splitlines())
            if outcome.is_error:
                raise LayerFailed(number, lines)
            yield lines
        await link.ask(place.path, {"op": "stop"})
        await asyncio.to_thread(_keep, place, into)
    finally:
        await builds.destroy(place.sandbox_id)


def _keep(place: Place, into: Path) -> None:
    ending.ended(place)
    if not into.exists():
        tidy(place.layer / "upper")
        into.parent.mkdir(parents=True, exist_ok=True)
        (place.layer / "upper").rename(into)


def tidy(upper: Path) -> None:
    """Take out what sessions never see, and every right that a program would have by being started.

    Nothing runs on it any more; what it holds was made by whoever wrote the packages.
    """
    for entry in upper.iterdir():
        if entry.name in NOT_OF_IMAGE:
            _delete(entry)
    etc = upper / "etc"
    if etc.is_symlink() or (etc.exists() and not etc.is_dir()):
        raise SandboxFault("What was installed replaced the folder /etc.", kind="start")
    for name in ETC if etc.is_dir() else ():
        file = etc / name
        if os.path.lexists(file) and not stat.S_ISREG(file.lstat().st_mode):
            # a link that mounts would follow; a sandbox's own lies over it anyway
            _delete(file)
            file.touch(0o644)
            os.chown(file, userns.FIRST, userns.FIRST)
    disk.disarm(upper)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        disk.delete(path)
    else:
        path.unlink()
