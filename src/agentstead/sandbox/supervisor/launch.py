"""Starts bubblewrap as the sandbox's own user, with everything it may not do.

Nothing in a private home is reached by path once the user is dropped: bubblewrap and the library it
needs run from sealed memory, files of ours are handed over by descriptor, so are the arguments, and
folders are bound through a stage (`staging.py`).
"""

import ctypes
import fcntl
import os
import platform
import resource
import signal
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentstead.sandbox.supervisor import quick, userns
from agentstead.sandbox.supervisor.authorities import add_authorities
from agentstead.sandbox.supervisor.compiled import PYTHON
from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.supervisor.rootfs import LIBRARY, NATIVE, Arguments, System, add_file_system
from agentstead.sandbox.supervisor.staging import possible, stage

START = (
    f"import sys; sys.path.insert(0, '{LIBRARY}'); "
    "from agentstead.sandbox.supervisor.runner.{} import main; main()"
)
"""As a module, because a file that is run is compiled each time."""
ALL, BESIDE = "__main__", "beside"
"""The whole runner in Python, and what the one in C needs of it."""
OPEN_FILES_SOFT = 1024
"""What programs get that do not ask for more; above it `select` breaks."""
F_ADD_SEALS = 1033
SEALS = 0x1 | 0x2 | 0x4 | 0x8
"""Nothing about it can be changed any more, the seals included."""
MFD_EXEC = 0x10
PR_SET_NO_NEW_PRIVS = 38
NAMESPACES = ("pid", "ipc", "uts", "cgroup", "net")
INSTALLING = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "KILL")
"""What root may do in a sandbox that installs into an image: with that image's files and users only."""


@dataclass
class Launched:
    """A started sandbox."""

    pid: int
    """Bubblewrap's outermost process, on the host."""
    channel: socket.socket
    """To the runner."""
    log: int
    """What bubblewrap and the runner complain about."""

    def end(self) -> None:
        """Kill it and wait for its end."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)


def launch(place: Place, config: dict[str, Any], uid: int, control: Control) -> Launched:
    """Start it; whether it works is seen by the runner's first word on the channel."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    log, log_in = os.pipe()
    program = sealed("bwrap", Path(config["bwrap"]).read_bytes())
    libraries = [sealed(Path(path).name, Path(path).read_bytes()) for path in config["libraries"]]
    arguments = Arguments(staged=possible())
    if os.geteuid() == 0 and not arguments.staged:
        # the sandbox's user has to come through; what is private in there stays so
        place.path.chmod(0o711)
    system = System.of(config, place)
    _add_isolation(arguments, installing=system.upper is not None)
    native = quick.program() if config.get("native", True) else b""
    add_file_system(arguments, place, system, config["mounts"], native)
    add_authorities(arguments, system, (config.get("network") or {}).get("authorities", ""))
    words = arguments.memory(b"".join(word.encode() + b"\0" for word in arguments.words))
    argv = ["bwrap", "--args", str(words), "--", *_command(config, theirs.fileno(), native)]
    env = {"LD_PRELOAD": ":".join(f"/proc/self/fd/{fd}" for fd in libraries)} if libraries else {}
    kept = {theirs.fileno(), *libraries, *arguments.descriptors}
    child = Child(arguments, kept, log_in, uid, config["limits"], control, program, argv, env)
    pid = child.spawned(native) if native else child.forked()
    theirs.close()
    for descriptor in (log_in, program, *libraries, *arguments.descriptors):
        os.close(descriptor)
    os.set_blocking(log, False)
    return Launched(pid, ours, log)


@dataclass
class Child:
    """What becomes bubblewrap."""

    arguments: Arguments
    kept: set[int]
    log: int
    uid: int
    limits: dict[str, Any]
    control: Control
    program: int
    argv: list[str]
    env: dict[str, str]

    def forked(self) -> int:
        """As a copy of this process; its number."""
        pid = os.fork()
        if pid == 0:
            try:
                self.control.enter()
                if self.arguments.staged:
                    stage(self.arguments.bound)
                prepare(self.kept, self.log, self.uid, self.limits)
                os.execve(self.program, self.argv, self.env)
            except (OSError, ValueError) as error:
                os.write(self.log, f"cannot start the sandbox: {error}\n".encode())
            finally:
                os._exit(126)
        return pid

    def spawned(self, native: bytes) -> int:
        """By the program in C, which does the same (`native/launch.h`); its number."""
        words = [
            f"p{self.program}",
            f"l{self.log}",
            f"u{self.uid}",
            f"f{self.limits['disk_bytes']}",
        ]
        most, soft = open_files(self.limits)
        words += [f"n{soft}", f"m{most}"]
        words += [f"g{folder}" for folder in set(self.control.groups.values())]
        if self.arguments.staged:
            words += ["S", *(f"s{path}" for path in self.arguments.bound)]
        words += [f"k{descriptor}" for descriptor in self.kept]
        words += [f"e{name}={value}" for name, value in self.env.items()]
        launcher = sealed("launch", native)
        # onto itself: that lets it be inherited
        passed = [(os.POSIX_SPAWN_DUP2, one, one) for one in (self.program, self.log, *self.kept)]
        try:
            return os.posix_spawn(
                f"/proc/self/fd/{launcher}",
                ["launch", *words, "--", *self.argv],
                {},
                file_actions=passed,
            )
        finally:
            os.close(launcher)


def _command(config: dict[str, Any], channel: int, native: bytes) -> list[str]:
    """The runner, on this descriptor."""
    start = START.format(BESIDE if native else ALL)
    python = [config.get("python") or PYTHON, "-I", "-S", "-B", "-c", start]
    return [NATIVE, str(channel), *python] if native else [*python, str(channel)]


def sealed(name: str, content: bytes) -> int:
    """An unchangeable copy of a program in memory, to be run from its descriptor."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        descriptor = os.memfd_create(name, flags | MFD_EXEC)
    except OSError:
        descriptor = os.memfd_create(name, flags)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    fcntl.fcntl(descriptor, F_ADD_SEALS, SEALS)
    return descriptor


def open_files(limits: dict[str, Any]) -> tuple[int, int]:
    """How many files may be open at most, and without asking for more."""
    most = min(limits["open_files_max"], resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    return most, min(OPEN_FILES_SOFT, most)


def seccomp_file() -> Path:
    """The system-call filter for this machine; FileNotFoundError when there is none."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    return Path(__file__).parent.parent / "seccomp" / f"{machine}.bpf"


def _add_isolation(arguments: Arguments, *, installing: bool) -> None:
    for name in NAMESPACES:
        arguments.add(f"--unshare-{name}")
    arguments.add("--hostname", "sandbox", "--clearenv", "--cap-drop", "ALL")
    if installing:
        namespace = userns.open_range()
        arguments.descriptors.append(namespace)
        arguments.add("--userns", str(namespace))
        for name in INSTALLING:
            arguments.add("--cap-add", f"CAP_{name}")
    else:
        arguments.add("--unshare-user", "--disable-userns", "--assert-userns-disabled")
        arguments.add("--uid", "1000", "--gid", "1000")
    arguments.add("--new-session", "--die-with-parent", "--chdir", "/")
    arguments.add("--seccomp", str(arguments.memory(seccomp_file().read_bytes())))


def prepare(kept: set[int], log: int, uid: int, limits: dict[str, Any]) -> None:
    """In the child: drop the user, keep only the descriptors that are needed."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        try:
            os.set_inheritable(descriptor, descriptor <= 2 or descriptor in kept)
        except OSError:
            continue  # the one the listing was read from
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits["disk_bytes"], limits["disk_bytes"]))
    most, soft = open_files(limits)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
    os.umask(0o022)
    os.chdir("/")
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    if os.geteuid() == 0 or os.getuid() == 0:
        raise PermissionError("a sandbox must never run as the host's root")
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
