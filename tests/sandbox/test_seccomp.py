"""The shipped system-call filters: what they were compiled from, and what they decide."""

import ctypes.util
import struct
from pathlib import Path

import pytest

from agentstead.sandbox.supervisor.launch import seccomp_file

FOLDER = seccomp_file().parent
ALLOW, EPERM, ENOSYS, EAFNOSUPPORT = 0x7FFF0000, 0x50001, 0x50026, 0x50061
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {"read": 0, "ioctl": 16, "socket": 41, "socketpair": 53, "clone": 56, "ptrace": 101,
               "mount": 165, "unshare": 272, "bpf": 321, "io_uring_setup": 425, "clone3": 435},
    "aarch64": {"read": 63, "ioctl": 29, "socket": 198, "socketpair": 199, "clone": 220, "ptrace": 117,
                "mount": 40, "unshare": 97, "bpf": 280, "io_uring_setup": 425, "clone3": 435},
}  # fmt: skip
HIGH = 1 << 32
DECISIONS = [
    ("read", (0, 0, 0), ALLOW),
    ("ptrace", (16, 1, 0), EPERM),
    ("mount", (0, 0, 0), EPERM),
    ("unshare", (0, 0, 0), EPERM),
    ("bpf", (0, 0, 0), EPERM),
    ("io_uring_setup", (1, 0, 0), ENOSYS),
    ("clone3", (0, 0, 0), ENOSYS),
    ("clone", (17, 0, 0), ALLOW),
    ("clone", (0x3D0F00, 0, 0), ALLOW),  # what a thread is made with
    ("clone", (0x10000000 | 17, 0, 0), EPERM),
    ("clone", (0x20000 | 17, 0, 0), EPERM),
    ("ioctl", (0, 0x5401, 0), ALLOW),
    ("ioctl", (0, 0x5412, 0), EPERM),
    ("ioctl", (0, HIGH | 0x5412, 0), EPERM),
    ("ioctl", (0, 0x541C, 0), EPERM),
    ("socket", (1, 1, 0), ALLOW),
    ("socket", (2, 1, 6), ALLOW),
    ("socket", (10, 2 | 0x80000, 17), ALLOW),
    ("socket", (16, 3, 0), ALLOW),
    ("socket", (16, 3, 9), EAFNOSUPPORT),
    ("socket", (2, 3, 1), EPERM),
    ("socket", (10, 3 | 0x800, 58), EPERM),
    ("socket", (17, 3, 0), EAFNOSUPPORT),
    ("socket", (40, 1, 0), EAFNOSUPPORT),
    ("socket", (HIGH | 40, 1, 0), EAFNOSUPPORT),
    ("socket", (45, 1, 0), EAFNOSUPPORT),
    ("socket", (200, 1, 0), EAFNOSUPPORT),
    ("socketpair", (1, 1, 0), ALLOW),
    ("socketpair", (40, 1, 0), EAFNOSUPPORT),
]


def decide(code: bytes, arch: int, number: int, arguments: tuple[int, ...]) -> int:
    """Run a filter as the kernel does, on one system call."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    program = list(struct.iter_unpack("<HBBI", code))
    place, a = 0, 0
    for _ in range(len(program)):
        operation, yes, no, k = program[place]
        place += 1
        match operation:
            case 0x20:
                (a,) = struct.unpack_from("<I", data, k)
            case 0x54:
                a &= k
            case 0x05:
                place += k
            case 0x15:
                place += yes if a == k else no
            case 0x25:
                place += yes if a > k else no
            case 0x35:
                place += yes if a >= k else no
            case 0x06:
                return k
            case _:
                raise AssertionError(f"instruction {operation:#x}")
    raise AssertionError("no decision")


@pytest.mark.parametrize("machine", ARCH)
@pytest.mark.parametrize(("call", "arguments", "decision"), DECISIONS)
def test_decisions(machine: str, call: str, arguments: tuple[int, ...], decision: int) -> None:
    code = (FOLDER / f"{machine}.bpf").read_bytes()
    assert decide(code, ARCH[machine], NUMBERS[machine][call], arguments) == decision


@pytest.mark.parametrize("machine", ARCH)
def test_another_machines_calls_are_killed(machine: str) -> None:
    code = (FOLDER / f"{machine}.bpf").read_bytes()
    assert decide(code, 0x40000003, 0, ()) in (0, 0x80000000)
    if machine == "x86_64":
        assert decide(code, ARCH[machine], 0x40000000 | 165, ()) in (0, 0x80000000)


@pytest.mark.parametrize("machine", ARCH)
def test_the_shipped_filter_is_what_the_source_compiles_to(machine: str) -> None:
    if (
        ctypes.util.find_library("seccomp") is None
        and not Path("/lib/x86_64-linux-gnu/libseccomp.so.2").exists()
    ):
        pytest.skip("needs libseccomp: the filter cannot be compiled here")
    pyseccomp = pytest.importorskip("pyseccomp", reason="needs pyseccomp")
    from agentstead.sandbox.seccomp.build import build

    fresh, shipped = build(machine), (FOLDER / f"{machine}.bpf").read_bytes()
    assert pyseccomp.get_api() > 0
    if fresh != shipped:
        # another release of libseccomp may arrange the same decisions differently
        for call, arguments, decision in DECISIONS:
            number = NUMBERS[machine][call]
            assert decide(fresh, ARCH[machine], number, arguments) == decision
        pytest.skip("needs libseccomp 2.5.4 to compare byte by byte; the decisions are the same")
