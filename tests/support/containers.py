"""Containers for the engines of the tests: real processes in namespaces of their own, made by bubblewrap.

The image is this machine's `/usr`. Volumes are folders. Nothing is limited; what an engine was asked to
limit is looked at in its requests. Started by root the container's root is root with the capabilities
that it was given; started by anybody else every user of the container is that one.
"""

import asyncio
import json
import os
import shutil
import signal
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from agentstead.clock import SystemClock
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.supervisor.launch import seccomp_file
from agentstead.sandbox.supervisor.rootfs import SYSTEM_LINKS

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STATIC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nagent:x:1000:1000::/workspace:/bin/bash\n",
    "group": "root:x:0:\nagent:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n",
}


@dataclass
class Container:
    """One container: what it was made of, and its process while it runs."""

    command: Sequence[str]
    env: Mapping[str, str]
    mounts: Mapping[str, Path]
    """Target → folder."""
    read_only: frozenset[str] = frozenset()
    tmpfs: Sequence[str] = ()
    capabilities: Sequence[str] = ()
    uid: int = 0
    network_of: "Container | None" = None
    """Whose network it shares; for root only."""
    process: asyncio.subprocess.Process | None = None
    pid: int = 0
    """Of its first process, on this host."""
    exit_code: int = 0
    started: bool = False
    execs: set[asyncio.subprocess.Process] = field(default_factory=set)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def running(self) -> bool:
        """Whether its first process lives."""
        return self.started and not self.ended.is_set()

    async def start(self) -> None:
        """Start its process; OSError when it cannot."""
        info, info_in = os.pipe()
        seccomp = os.open(seccomp_file(), os.O_RDONLY)
        words = self._words(info_in, seccomp)
        env = {"LD_PRELOAD": _libraries()} if _libraries() else {}
        try:
            self.process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=env,
                pass_fds=(info_in, seccomp),
            )
        finally:
            os.close(info_in)
            os.close(seccomp)
        with os.fdopen(info) as file:
            text = await asyncio.to_thread(file.read)
        if not text:
            assert self.process.stderr is not None
            said = (await self.process.stderr.read()).decode()
            await self.process.wait()
            raise OSError(said)
        self.pid = json.loads(text)["child-pid"]
        self.started = True
        self.ended.clear()

    async def wait(self) -> int:
        """Its exit code, once it has ended; whoever reads its output calls this."""
        assert self.process is not None
        code = await self.process.wait()
        self.exit_code = 128 - code if code < 0 else code
        self.ended.set()
        return self.exit_code

    async def exec(self, command: Sequence[str]) -> asyncio.subprocess.Process:
        """Another process in it."""
        spaces = ["--mount", "--pid", "--net", "--ipc", "--uts"]
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        kept = ",".join(["-all", *(f"+{name.lower()}" for name in self.capabilities)])
        drop = ["setpriv", "--no-new-privs", f"--bounding-set={kept}"] if os.geteuid() == 0 else []
        if drop and self.uid:
            drop += [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
        process = await asyncio.create_subprocess_exec(
            *("nsenter", f"--target={self.pid}", *user, *spaces, "--root", "--wd", "--"),
            *(*drop, *command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(self.env),
        )
        self.execs.add(process)
        return process

    def kill(self) -> None:
        """SIGKILL its first process, and with it all others."""
        if self.running:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                return

    def local(self, path: str) -> tuple[Path, str] | None:
        """Where a path of the container lies on this host, and in which mount; None: in its root."""
        wanted = PurePosixPath(os.path.normpath(path))
        for target in sorted(self.mounts, key=len, reverse=True):
            if wanted.is_relative_to(target):
                return self.mounts[target] / wanted.relative_to(target), target
        return None

    def _words(self, info: int, seccomp: int) -> list[str]:
        program, _ = _program()
        words = [program, "--info-fd", str(info), "--seccomp", str(seccomp), "--as-pid-1"]
        if self.network_of is not None:
            words[:0] = ["nsenter", f"--net=/proc/{self.network_of.pid}/ns/net", "--"]
        for name in ("pid", "ipc", "uts", *(("net",) if self.network_of is None else ())):
            words.append(f"--unshare-{name}")
        if os.geteuid() == 0:
            words += ["--cap-drop", "ALL"]
            for name in [
                *self.capabilities,
                *(("SETUID", "SETGID", "SETPCAP") if self.uid else ()),
            ]:
                words += ["--cap-add", f"CAP_{name}"]
        else:
            words += ["--unshare-user", "--uid", str(self.uid), "--gid", str(self.uid)]
        words += ["--hostname", "sandbox"] if "--unshare-uts" in words else []
        words += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", *_devices()]
        words += ["--ro-bind", "/proc/sys", "/proc/sys"]
        for name in SYSTEM_LINKS:
            path = Path("/", name)
            if path.is_symlink():
                words += ["--symlink", str(path.readlink()), str(path)]
        for target in self.tmpfs:
            words += ["--perms", "1777", "--tmpfs", target]
        parents = {str(above) for target in self.mounts for above in PurePosixPath(target).parents}
        for above in sorted(parents - {"/"} - set(self.mounts), key=len):
            words += ["--perms", "0755", "--dir", above]
        for target in sorted(self.mounts, key=len):
            option = "--ro-bind" if target in self.read_only else "--bind"
            words += [option, str(self.mounts[target]), target]
        words += ["--remount-ro", "/", "--chdir", "/", "--clearenv"]
        for name, value in self.env.items():
            words += ["--setenv", name, value]
        if os.geteuid() == 0 and self.uid:
            drop = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
            drop += ["--bounding-set=-all", "--inh-caps=-all"]
            return [*words, "--", *drop, *self.command]
        return [*words, "--", *self.command]


def put(container: Container, path: str, archive: IO[bytes]) -> None:
    """Unpack a tar archive there, as the engine's root."""
    place = container.local(path)
    assert place is not None
    with tarfile.open(fileobj=archive) as packed:
        packed.extractall(place[0], numeric_owner=True, filter="tar")


def _program() -> tuple[str, list[str]]:
    return Bubblewrap(Path("/nowhere"), clock=SystemClock()).program()


def _devices() -> list[str]:
    """A whole `/dev` makes bubblewrap nest user namespaces for anybody but root, and nobody could enter."""
    if os.geteuid() == 0:
        return ["--dev", "/dev"]
    words = ["--tmpfs", "/dev", "--dir", "/dev/shm", "--symlink", "/proc/self/fd", "/dev/fd"]
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        words += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return words


def _libraries() -> str:
    return ":".join(_program()[1])


def possible() -> str:
    """Why these containers cannot be had here; empty when they can."""
    missing = [name for name in ("nsenter", "setpriv") if shutil.which(name) is None]
    return f"{missing[0]} is missing" if missing else ""
