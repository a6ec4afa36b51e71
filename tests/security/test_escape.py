"""Ways out of a sandbox, tried from inside for real; each must be closed.

One script tries them all in one sandbox and prints what each gave; every test looks at its own.
`open` means that the attempt succeeded.
"""

import asyncio
import json
import os
import re
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Limits, Network, SandboxSpec
from tests.support.images import tiny_image
from tests.support.sandboxes import SPEC, needed, real_sandboxes, supervisor_pid, text

ID = "sesn_escape"
ATTEMPTS = r"""
import ctypes, errno, fcntl, json, os, platform, pty, resource, socket, struct, sys, termios
libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
results = {}
inherited = [os.readlink("/proc/self/fd/" + fd) for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd)]

def attempt(name, action):
    try:
        value = action()
        results[name] = "open" if value is None else f"open: {value!r}"[:300]
    except Exception as error:
        number = getattr(error, "errno", None)
        results[name] = errno.errorcode.get(number, type(error).__name__)

def call(name, *arguments):
    def action():
        ctypes.set_errno(0)
        if getattr(libc, name)(*arguments) == -1:
            raise OSError(ctypes.get_errno(), name)
    return action

def syscall(x86, arm, *arguments):
    return call("syscall", ctypes.c_long(x86 if X86 else arm), *(ctypes.c_long(a) for a in arguments))

def rewrite(path):
    def action():
        with open(path) as file:
            old = file.read()
        descriptor = os.open(path, os.O_WRONLY)
        os.write(descriptor, old.encode())
        os.close(descriptor)
    return action

def read(path):
    def action():
        with open(path, "rb") as file:
            return file.read(64)
    return action

def create(path):
    def action():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(descriptor, b"x")
        os.close(descriptor)
        os.unlink(path)
    return action

def opened(family, kind=socket.SOCK_STREAM, protocol=0):
    return lambda: socket.socket(family, kind, protocol).close()

def connect(host, port):
    def action():
        with socket.create_connection((host, port), 2):
            pass
    return action

for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory",
             "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger"):
    attempt("write " + path, rewrite(path) if "sysrq" not in path else (lambda: os.open("/proc/sysrq-trigger", os.O_WRONLY)))
for path in ("/etc/shadow", "/root/.bashrc", "/root", "/home", "/boot", "/sys/kernel", "/proc/1/root/etc/shadow", "/proc/kcore"):
    attempt("read " + path, (lambda p=path: os.listdir(p) and None) if not os.path.isfile(path) else read(path))
for path in sys.argv[3:]:
    attempt("host " + path, lambda p=path: os.stat(p) and None)
    attempt("host through 1 " + path, lambda p=path: os.stat("/proc/1/root" + p) and None)
attempt("environ 1", lambda: read("/proc/1/environ")() .replace(b"LD_PRELOAD=/proc/self/fd/", b"").strip(b"\0:0123456789/procselffd") or os.open("/x", 0))
attempt("environ 2", read("/proc/2/environ"))
attempt("mem 2", read("/proc/2/mem"))
attempt("fd 2", lambda: os.listdir("/proc/2/fd") and None)
beside = ["2", *(pid for pid in os.listdir("/proc") if pid.isdigit() and b"beside" in open("/proc/%s/cmdline" % pid, "rb").read())][-1]
attempt("mem beside", read("/proc/%s/mem" % beside))
attempt("environ beside", read("/proc/%s/environ" % beside))
attempt("fd beside", lambda: os.listdir("/proc/%s/fd" % beside) and None)
attempt("runner", read("/run/agentstead/runner"))
for path in ("/usr/x", "/etc/x", "/x", "/dev/x", "/run/agentstead/x", "/mnt/session/uploads/x", "/mnt/x"):
    attempt("create " + path, create(path))
attempt("write runner", lambda: os.open("/run/agentstead/library.zip", os.O_WRONLY))
attempt("vsock", opened(40))
attempt("vsock behind bits", lambda: (lambda fd: None if fd >= 0 else (_ for _ in ()).throw(OSError(ctypes.get_errno(), "socket")))(libc.syscall(ctypes.c_long(41 if X86 else 198), ctypes.c_long((1 << 32) | 40), ctypes.c_long(1), ctypes.c_long(0))))
attempt("packet", opened(17, socket.SOCK_RAW))
attempt("alg", opened(38, socket.SOCK_SEQPACKET))
attempt("netlink audit", opened(16, socket.SOCK_RAW, 9))
for number, name in ((6, "xfrm"), (12, "netfilter"), (15, "uevent"), (16, "generic")):
    attempt("netlink " + name, opened(16, socket.SOCK_RAW, number))
for number, name in ((21, "rds"), (29, "can"), (30, "tipc"), (31, "bluetooth"), (39, "nfc"), (41, "kcm"), (44, "xdp")):
    attempt("family " + name, opened(number, socket.SOCK_RAW))
attempt("netlink route", opened(16, socket.SOCK_RAW, 0))
attempt("raw", opened(socket.AF_INET, socket.SOCK_RAW, 1))
attempt("unix", opened(socket.AF_UNIX))
attempt("inet", opened(socket.AF_INET))
attempt("connect host", connect("127.0.0.1", int(sys.argv[1])))
attempt("connect metadata", connect("169.254.169.254", 80))
attempt("connect internet", connect("1.1.1.1", 443))
attempt("resolve", lambda: socket.gethostbyname("example.com") and None)
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect("\0" + sys.argv[2])
attempt("abstract socket", abstract)
results["interfaces"] = [name for _, name in socket.if_nameindex()]
attempt("new user namespace", call("unshare", 0x10000000))
attempt("new mount namespace", call("unshare", 0x20000))
attempt("clone user namespace", syscall(56, 220, 0x10000000 | 17, 0, 0, 0, 0))
attempt("clone3", syscall(435, 435, 0, 0))
for name, x86, arm in (
    ("fsopen", 430, 430), ("open_tree", 428, 428), ("move_mount", 429, 429), ("mount_setattr", 442, 442),
    ("pivot_root", 155, 41), ("process_vm_writev", 311, 271), ("kcmp", 312, 272), ("pidfd_getfd", 438, 438),
    ("add_key", 248, 217), ("request_key", 249, 218), ("init_module", 175, 105), ("finit_module", 313, 273),
    ("kexec_load", 246, 104), ("acct", 163, 89), ("swapon", 167, 224), ("settimeofday", 164, 170),
    ("sethostname", 170, 161), ("syslog", 103, 116), ("quotactl", 179, 60),
):
    attempt(name, syscall(x86, arm, 0, 0, 0, 0))
def other_words():
    pid = os.fork()
    if pid == 0:
        made = libc.syscall(ctypes.c_long(0x40000000 | (41 if X86 else 198)), ctypes.c_long(40), ctypes.c_long(1), ctypes.c_long(0))
        os._exit(0 if made >= 0 else 1)
    if os.waitpid(pid, 0)[1]:
        raise OSError(errno.EPERM, "killed, or refused")
attempt("another word size", other_words)
attempt("setns", call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), 0))
attempt("ptrace", call("ptrace", 16, 1, 0, 0))
attempt("process_vm_readv", syscall(310, 270, 2, 0, 0, 0, 0, 0))
attempt("mount", call("mount", b"none", b"/tmp", b"tmpfs", ctypes.c_ulong(0), None))
attempt("umount", call("umount2", b"/proc/sys", 2))
attempt("chroot", lambda: os.chroot("/tmp"))
attempt("bpf", syscall(321, 280, 0, 0, 0))
attempt("keyctl", syscall(250, 219, 0, 0))
attempt("userfaultfd", syscall(323, 282, 0))
attempt("io_uring", syscall(425, 425, 8, 0))
attempt("perf", syscall(298, 241, 0, 0, -1, -1, 0))
attempt("handle", syscall(304, 265, 0, 0, 0))
attempt("mknod", lambda: os.mknod("/tmp/disk", 0o060600, os.makedev(8, 0)))
attempt("setuid", lambda: os.setuid(0))
attempt("nice", lambda: os.nice(-5) and None)
attempt("reboot", syscall(169, 142, 0xfee1dead, 672274793, 0, 0))
def inject():
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSTI, b"x")
attempt("TIOCSTI", inject)
def inject_behind_bits():
    master, slave = pty.openpty()
    if libc.ioctl(slave, ctypes.c_ulong((1 << 32) | termios.TIOCSTI), b"x") == -1:
        raise OSError(ctypes.get_errno(), "ioctl")
attempt("TIOCSTI behind bits", inject_behind_bits)
attempt("TIOCLINUX", lambda: fcntl.ioctl(pty.openpty()[1], 0x541C, b"\3"))
attempt("controlling terminal", lambda: os.open("/dev/tty", os.O_RDWR))
attempt("hardlink to a program", lambda: os.link("/usr/bin/env", "/workspace/linked"))
attempt("hardlink out of uploads", lambda: os.link("/mnt/session/uploads", "/workspace/linked"))
attempt("real-time scheduling", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
def core_dumps():
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
attempt("core dumps", core_dumps)
def more_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
attempt("more open files", more_files)
attempt("oom score", lambda: os.write(os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC), b"-1000"))
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
results["status"] = {k: status[k].split() for k in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp", "Uid")}
results["environment"] = dict(os.environ)
results["pids"] = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
results["cmdline 1"] = open("/proc/1/cmdline").read()
results["descriptors"] = inherited
results["cgroup"] = open("/proc/self/cgroup").read()
def streams_of_1():
    return {name: os.readlink(f"/proc/1/fd/{name}") for name in ("0", "1", "2")}
try:
    results["streams of 1"] = streams_of_1()
except OSError:
    results["streams of 1"] = {}
results["nosuid"] = {path: bool(os.statvfs(path).f_flag & os.ST_NOSUID) for path in ("/workspace", "/tmp", "/mnt/user", "/mnt/session/outputs", "/dev/shm")}
results["kernel addresses"] = sum(int(line.split()[0], 16) for line in open("/proc/kallsyms").readlines()[:50]) if os.path.exists("/proc/kallsyms") else 0
results["keys"] = "".join(open(path).read() for path in ("/proc/keys", "/proc/key-users") if os.path.exists(path))
results["devices"] = sorted(os.listdir("/dev"))
print(json.dumps(results))
"""
REFUSED = {
    "write /proc/sys/kernel/core_pattern": "EACCES EROFS",
    "write /proc/sys/kernel/hostname": "EACCES EROFS",
    "write /proc/sys/vm/overcommit_memory": "EACCES EROFS",
    "write /proc/sys/net/ipv4/ip_forward": "EACCES EROFS",
    "write /proc/sysrq-trigger": "EACCES EROFS ENOENT",
    "read /etc/shadow": "ENOENT EACCES",
    "read /root/.bashrc": "ENOENT",
    "read /root": "ENOENT",
    "read /home": "ENOENT",
    "read /boot": "ENOENT",
    "read /sys/kernel": "ENOENT",
    "read /proc/1/root/etc/shadow": "ENOENT EACCES",
    "read /proc/kcore": "EACCES ENOENT ENOTDIR",
    "environ 1": "ENOENT EACCES",
    "environ 2": "EACCES",
    "mem 2": "EACCES",
    "fd 2": "EACCES",
    "environ beside": "EACCES",
    "mem beside": "EACCES",
    "fd beside": "EACCES",
    "runner": "EACCES ENOENT",
    "create /usr/x": "EROFS",
    "create /etc/x": "EROFS",
    "create /x": "EROFS",
    "create /dev/x": "EROFS",
    "create /run/agentstead/x": "EACCES EROFS",
    "create /mnt/session/uploads/x": "EROFS EACCES",
    "create /mnt/x": "EROFS",
    "write runner": "EROFS EACCES",
    "vsock": "EAFNOSUPPORT",
    "vsock behind bits": "EAFNOSUPPORT",
    "packet": "EAFNOSUPPORT",
    "alg": "EAFNOSUPPORT",
    "netlink audit": "EAFNOSUPPORT",
    "raw": "EPERM",
    "connect host": "ECONNREFUSED",
    "connect metadata": "ENETUNREACH",
    "connect internet": "ENETUNREACH",
    "resolve": "gaierror EAI_AGAIN",
    "abstract socket": "ECONNREFUSED",
    "new user namespace": "EPERM",
    "new mount namespace": "EPERM",
    "clone user namespace": "EPERM",
    "clone3": "ENOSYS",
    "setns": "EPERM",
    "ptrace": "EPERM",
    "process_vm_readv": "EPERM",
    "mount": "EPERM",
    "umount": "EPERM",
    "chroot": "EPERM",
    "bpf": "EPERM",
    "keyctl": "EPERM",
    "userfaultfd": "EPERM",
    "io_uring": "ENOSYS",
    "perf": "EPERM",
    "handle": "EPERM",
    "mknod": "EPERM",
    "setuid": "EINVAL EPERM",
    "nice": "EPERM EACCES",
    "reboot": "EPERM",
    "TIOCSTI": "EPERM",
    "controlling terminal": "ENXIO",
    "fsopen": "EPERM",
    "open_tree": "EPERM",
    "move_mount": "EPERM",
    "mount_setattr": "EPERM",
    "pivot_root": "EPERM",
    "process_vm_writev": "EPERM",
    "kcmp": "EPERM",
    "pidfd_getfd": "EPERM",
    "add_key": "EPERM",
    "request_key": "EPERM",
    "init_module": "EPERM",
    "finit_module": "EPERM",
    "kexec_load": "EPERM",
    "acct": "EPERM",
    "swapon": "EPERM",
    "settimeofday": "EPERM",
    "sethostname": "EPERM",
    "syslog": "EPERM",
    "quotactl": "EPERM",
    "another word size": "EPERM",
    "TIOCSTI behind bits": "EPERM",
    "TIOCLINUX": "EPERM ENOTTY",
    "hardlink to a program": "EXDEV EPERM EROFS",
    "hardlink out of uploads": "EXDEV EPERM",
    "real-time scheduling": "EPERM",
    "core dumps": "EPERM ValueError",
    "more open files": "EPERM ValueError",
    "netlink xfrm": "EAFNOSUPPORT",
    "netlink netfilter": "EAFNOSUPPORT",
    "netlink uevent": "EAFNOSUPPORT",
    "netlink generic": "EAFNOSUPPORT",
    "family rds": "EAFNOSUPPORT",
    "family can": "EAFNOSUPPORT",
    "family tipc": "EAFNOSUPPORT",
    "family bluetooth": "EAFNOSUPPORT",
    "family nfc": "EAFNOSUPPORT",
    "family kcm": "EAFNOSUPPORT",
    "family xdp": "EAFNOSUPPORT",
    "oom score": "EACCES",
}
ALLOWED = ("unix", "inet", "netlink route")
"""What tools need; shows as well that an attempt which succeeds is seen as such."""
_seen: dict[str, dict[str, Any]] = {}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Images, Image]]:
    """An image beside the host's own directories: what holds on them holds on it."""
    with tiny_image(tmp_path_factory.mktemp("image")) as made:
        yield made


@pytest.fixture(params=["none", "unrestricted", "none on an image", "none with Python's runner"])
async def found(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What every attempt gave in a sandbox with this network; tried once a run."""
    mode, _, _ = request.param.partition(" ")
    on_image, native = "image" in request.param, "Python" not in request.param
    if request.param not in _seen:
        await needed()
        images, made = request.getfixturevalue("image") if on_image else (None, None)
        monkeypatch.setenv("AGENTSTEAD_SECRET_CANARY", "canary-in-the-platform")
        spec = replace(SPEC, network=Network(mode), image=made.id if made else "")
        async with real_sandboxes(egress=Egress(), images=images, native=native) as sandboxes:
            _seen[request.param] = await attempts(sandboxes, spec)
    return _seen[request.param]


async def attempts(sandboxes: Bubblewrap, spec: SandboxSpec) -> dict[str, Any]:
    await sandboxes.call("sesn_other", spec, "1", "write", {"file_path": "mine", "content": "x"})
    host_file = sandboxes.root.parent / "host-secret"
    host_file.write_text("secret")
    own = sandboxes.root / ID
    paths = [host_file, sandboxes.root, own / "ctl.sock", own / "journal"]
    paths += [sandboxes.root / "sesn_other" / "files" / "workspace" / "mine", Path(__file__)]
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as unix:
        name = f"agentstead-test-{os.getpid()}"
        unix.bind(f"\0{name}")
        unix.listen()
        await sandboxes.call(ID, spec, "1", "write", {"file_path": "try.py", "content": ATTEMPTS})
        words = [str(listener.getsockname()[1]), name, *map(str, paths)]
        command = f"python3 try.py {' '.join(words)}"
        outcome = await sandboxes.call(ID, spec, "2", "bash", {"command": command})
    assert not outcome.is_error, outcome
    host_file.unlink()
    result: dict[str, Any] = json.loads(text(outcome))
    return result


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused(found: dict[str, Any], name: str) -> None:
    assert found[name] in REFUSED[name].split()


@pytest.mark.parametrize("name", ALLOWED)
async def test_what_tools_need_is_there(found: dict[str, Any], name: str) -> None:
    assert found[name] == "open"


async def test_nothing_of_the_host_is_reached_by_path(found: dict[str, Any]) -> None:
    paths = {name: result for name, result in found.items() if name.startswith("host ")}
    assert len(paths) == 12
    assert set(paths.values()) <= {"ENOENT", "EACCES"}


async def test_there_are_no_capabilities_and_a_filter(found: dict[str, Any]) -> None:
    status = found["status"]
    for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"):
        assert int(status[name][0], 16) == 0, name
    assert status["NoNewPrivs"] == ["1"]
    assert status["Seccomp"] == ["2"]
    assert set(status["Uid"]) == {"1000"}


async def test_only_its_own_processes_are_seen(found: dict[str, Any]) -> None:
    assert len(found["pids"]) <= 5
    assert found["interfaces"] == ["lo"]
    assert "agentstead-" not in found["cgroup"]
    assert str(Path(__file__).parent) not in found["cmdline 1"]
    assert "/sandboxes/" not in found["cmdline 1"]


async def test_nothing_of_the_platform_is_in_the_environment(found: dict[str, Any]) -> None:
    assert "canary" not in json.dumps(found["environment"]).lower()
    assert found["environment"]["HOME"] == "/workspace"


async def test_no_descriptor_leads_out(found: dict[str, Any]) -> None:
    for target in found["descriptors"]:
        # the sealed copy of the library that bubblewrap was started with is harmless
        assert target.startswith(("/dev/null", "pipe:", "/memfd:libcap", "/proc/", "/workspace"))


async def test_the_first_process_writes_into_no_file_of_the_host(found: dict[str, Any]) -> None:
    for target in found["streams of 1"].values():
        assert target.startswith(("/dev/null", "pipe:"))


async def test_what_is_writable_gives_nobody_another_user(found: dict[str, Any]) -> None:
    assert set(found["nosuid"].values()) == {True}


async def test_the_kernel_tells_no_addresses_and_no_keys(found: dict[str, Any]) -> None:
    assert found["kernel addresses"] == 0
    assert found["keys"] == ""


async def test_no_device_of_the_host_is_there(found: dict[str, Any]) -> None:
    usual = "console core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert set(found["devices"]) <= set(usual.split())


@pytest.fixture
async def sandboxes(request: pytest.FixtureRequest) -> AsyncIterator[Bubblewrap]:
    await needed()
    images = request.getfixturevalue("image")[0] if "spec" in request.fixturenames else None
    async with real_sandboxes(images=images) as real:
        yield real


@pytest.fixture(params=["host", "image"])
def spec(request: pytest.FixtureRequest, image: tuple[Images, Image]) -> SandboxSpec:
    return replace(SPEC, image=image[1].id) if request.param == "image" else SPEC


async def bash(sandboxes: Bubblewrap, call_id: str, command: str, spec: SandboxSpec = SPEC) -> str:
    outcome = await sandboxes.call(ID, spec, call_id, "bash", {"command": command})
    return text(outcome)


async def test_on_the_host_it_is_never_root(sandboxes: Bubblewrap, spec: SandboxSpec) -> None:
    await bash(sandboxes, "1", "sleep 60 & echo", spec)
    await sandboxes.call("sesn_second", spec, "1", "bash", {"command": "sleep 60 & echo"})
    users = []
    for name in (ID, "sesn_second"):
        folder = sandboxes.root / name / "files" / "workspace"
        users.append(folder.stat().st_uid)
        assert (sandboxes.root / name).stat().st_mode & 0o077 == 0
    assert 0 not in users
    if os.geteuid() == 0:
        assert users[0] != users[1]
        assert all(200_000 <= user <= 265_535 for user in users)
    for process in running_below(supervisor_pid(sandboxes, ID)):
        (user,) = re.findall(r"^Uid:\t(\d+)", (process / "status").read_text(), re.MULTILINE)
        assert int(user) == users[0]


def running_below(pid: int) -> list[Path]:
    """The processes that descend from this one, as the host sees them."""
    found, waiting = [], [pid]
    while waiting:
        above = Path(f"/proc/{waiting.pop()}")
        for thread in (above / "task").iterdir():
            for child in (thread / "children").read_text().split():
                found.append(Path(f"/proc/{child}"))
                waiting.append(int(child))
    assert len(found) >= 4
    return found


async def test_memory_is_limited_and_the_model_is_told(
    sandboxes: Bubblewrap, spec: SandboxSpec
) -> None:
    eat = "python3 -c 'x = bytearray(1 << 30); print(len(x))'"
    said = await bash(sandboxes, "1", eat, spec)
    assert "1073741824" not in said
    assert "memory limit of 256 MiB was reached" in said or "MemoryError" in said
    assert await bash(sandboxes, "2", "echo fine", spec) == "fine"


async def test_a_fork_bomb_ends_and_the_next_call_works(sandboxes: Bubblewrap) -> None:
    bomb = "b() { b | b & }; b; sleep 5; echo over"
    said = await bash(sandboxes, "1", bomb)
    assert "the limit of 64 processes was reached" in said
    async with asyncio.timeout(10):
        assert (await bash(sandboxes, "2", "echo fine")).endswith("fine")
    count = await bash(sandboxes, "3", "ls -d /proc/[0-9]* | wc -l")
    assert int(count.splitlines()[-1]) < 12


async def test_dev_and_run_cannot_be_filled(sandboxes: Bubblewrap, spec: SandboxSpec) -> None:
    fill = "head -c 200M /dev/zero > /dev/shm/x; head -c 5M /dev/zero > /run/x; ls -l /dev/shm/x"
    said = await bash(sandboxes, "1", fill, spec)
    assert said.count("No space left on device") == 2


async def test_the_disk_is_limited_and_deleting_stays_possible(sandboxes: Bubblewrap) -> None:
    spec = SandboxSpec(Limits(disk_bytes=20 << 20, call_seconds=20.0))
    said = await bash(sandboxes, "1", "head -c 30M /dev/zero > big", spec)
    assert "File too large" in said or "File size limit exceeded" in said
    fill = "for i in 1 2 3 4 5 6; do head -c 10M /dev/zero > f$i; sleep 0.5; done; echo all"
    said = await bash(sandboxes, "2", fill, spec)
    assert "the disk limit of 20 MiB was reached" in said
    refused = await sandboxes.call(ID, spec, "3", "write", {"file_path": "x", "content": "x"})
    assert refused.is_error
    assert "disk limit" in text(refused)
    await bash(sandboxes, "4", "rm -f f* big; sleep 1.5", spec)
    done = await sandboxes.call(ID, spec, "5", "write", {"file_path": "x", "content": "x"})
    assert not done.is_error, done


async def test_file_tools_follow_links_inside_only(
    sandboxes: Bubblewrap, spec: SandboxSpec
) -> None:
    secret = sandboxes.root.parent / "host-secret"
    secret.write_text("secret")
    await bash(sandboxes, "1", f"ln -s {secret} leaf; ln -s / top; ln -s /proc/1/root magic")
    paths = ["leaf", f"top{secret}", f"magic{secret}", f"../..{secret}"]
    for number, path in enumerate(paths):
        outcome = await sandboxes.call(ID, spec, f"r{number}", "read", {"file_path": path})
        assert outcome.is_error, path
        assert "secret" not in text(outcome).replace("host-secret", "")
    # written is at most a file of that name inside
    more = {"write": {"content": "mine"}, "edit": {"old_string": "secret", "new_string": "mine"}}
    for tool, given in more.items():
        for number, path in enumerate(paths):
            call = {"file_path": path, **given}
            await sandboxes.call(ID, spec, f"{tool}{number}", tool, call)
            assert secret.read_text() == "secret", (tool, path)
    for tool in ("glob", "grep"):
        given = {"pattern": "**/host-secret" if tool == "glob" else "secret", "path": "/workspace"}
        outcome = await sandboxes.call(ID, spec, tool, tool, given)
        assert "secret:" not in text(outcome)
    secret.unlink()


async def test_daemons_end_with_their_sandbox(sandboxes: Bubblewrap) -> None:
    mark = f"agentstead-daemon-{os.getpid()}"
    daemon = (
        f"(setsid nohup bash -c 'exec -a {mark} sleep 600' > /dev/null 2>&1 &) & sleep 0.5; echo up"
    )
    assert (await bash(sandboxes, "1", daemon)).endswith("up")
    assert len(named(mark)) == 1
    await sandboxes.destroy(ID)
    assert named(mark) == []


def named(mark: str) -> list[str]:
    """The processes of this host that call themselves so."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(mark.encode()):
            found.append(process.name)
    return found


async def test_killing_the_runner_is_survived(sandboxes: Bubblewrap, spec: SandboxSpec) -> None:
    await bash(sandboxes, "0", "echo kept > file", spec)
    said = await bash(sandboxes, "1", "kill -9 -1; sleep 5", spec)
    assert "the next call starts it again" in said
    assert (await bash(sandboxes, "2", "cat file", spec)).endswith("kept")
