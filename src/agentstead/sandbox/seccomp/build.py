"""Compiles the filter: `python -m agentstead.sandbox.seccomp.build` writes `<machine>.bpf` beside this file.

Needs pyseccomp and libseccomp (development only); the product ships the compiled files. The filter
names what is refused: doors to the kernel that no tool needs and that namespaces do not close.
Socket families are the exception and name what is allowed: `AF_VSOCK` and some netlink protocols
pass through a network namespace.
"""

import errno
import sys
import tempfile
from pathlib import Path

import pyseccomp

MACHINES = {"x86_64": pyseccomp.Arch.X86_64, "aarch64": pyseccomp.Arch.AARCH64}
REFUSED = {
    "the file system tree": "mount umount2 pivot_root chroot move_mount open_tree fsopen fsconfig"
    " fsmount fspick mount_setattr swapon swapoff quotactl quotactl_fd acct nfsservctl"
    " lookup_dcookie open_by_handle_at name_to_handle_at fanotify_init sysfs ustat uselib",
    "namespaces": "setns unshare",
    "other processes": "ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd"
    " move_pages migrate_pages mbind set_mempolicy",
    "keys": "keyctl add_key request_key",
    "the kernel": "bpf perf_event_open userfaultfd kexec_load kexec_file_load init_module"
    " finit_module delete_module create_module reboot syslog iopl ioperm modify_ldt vm86 vm86old _sysctl",
    "the machine": "settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname"
    " vhangup",
}
ABSENT = "io_uring_setup io_uring_enter io_uring_register clone3"
"""Answered as if this kernel did not have them, so that programs fall back to older calls."""
NAMESPACE_FLAGS = (
    0x00020000,  # mount
    0x02000000,  # cgroup
    0x04000000,  # uts
    0x08000000,  # ipc
    0x10000000,  # user
    0x20000000,  # pid
    0x40000000,  # network
)
TERMINAL_INJECTIONS = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
FAMILIES = (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK)
FAMILIES_END = 64
NETLINK_ROUTE = 0
SOCK_RAW, SOCK_PACKET, SOCK_TYPE_MASK = 3, 10, 0xF
INT_MASK = 0xFFFFFFFF
"""The kernel looks at 32 bits of these arguments, so the filter must not look at more."""


def build(machine: str) -> bytes:
    """The filter for a machine, compiled."""
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    if not rules.exist_arch(MACHINES[machine]):
        rules.add_arch(MACHINES[machine])
        rules.remove_arch(pyseccomp.Arch.NATIVE)
    _refuse_calls(rules)
    _refuse_flags(rules)
    _refuse_sockets(rules)
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def main() -> None:
    """Write the compiled filters."""
    for machine in MACHINES:
        code = build(machine)
        (Path(__file__).parent / f"{machine}.bpf").write_bytes(code)
        sys.stdout.write(f"{machine}: {len(code) // 8} instructions\n")


def _refuse_calls(rules: pyseccomp.SyscallFilter) -> None:
    refused = pyseccomp.ERRNO(errno.EPERM)
    for names in REFUSED.values():
        for name in names.split():
            rules.add_rule(refused, name)
    for name in ABSENT.split():
        rules.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)


def _refuse_flags(rules: pyseccomp.SyscallFilter) -> None:
    refused = pyseccomp.ERRNO(errno.EPERM)
    masked = pyseccomp.MASKED_EQ
    for flag in NAMESPACE_FLAGS:
        rules.add_rule(refused, "clone", pyseccomp.Arg(0, masked, flag, flag))
    for request in TERMINAL_INJECTIONS:
        rules.add_rule(refused, "ioctl", pyseccomp.Arg(1, masked, INT_MASK, request))


def _refuse_sockets(rules: pyseccomp.SyscallFilter) -> None:
    unknown = pyseccomp.ERRNO(errno.EAFNOSUPPORT)
    refused = pyseccomp.ERRNO(errno.EPERM)
    masked = pyseccomp.MASKED_EQ
    for call in ("socket", "socketpair"):
        for family in range(FAMILIES_END):
            if family not in FAMILIES:
                rules.add_rule(unknown, call, pyseccomp.Arg(0, masked, INT_MASK, family))
        # whatever is above them, whichever bits it hides behind
        rules.add_rule(unknown, call, pyseccomp.Arg(0, pyseccomp.GE, FAMILIES_END))
    netlink = pyseccomp.Arg(0, masked, INT_MASK, AF_NETLINK)
    rules.add_rule(unknown, "socket", netlink, pyseccomp.Arg(2, pyseccomp.NE, NETLINK_ROUTE))
    for family in (AF_INET, AF_INET6):
        for kind in (SOCK_RAW, SOCK_PACKET):
            rules.add_rule(
                refused,
                "socket",
                pyseccomp.Arg(0, masked, INT_MASK, family),
                pyseccomp.Arg(1, masked, SOCK_TYPE_MASK, kind),
            )


if __name__ == "__main__":
    main()
