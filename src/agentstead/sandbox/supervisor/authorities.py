"""The authorities that programs inside trust: the system's, and those that the platform adds.

They lie in a file of their own, which the usual variables name, and in the place of the system's file,
for programs that look nowhere else. While something is installed into an image, which may be the
system's file itself, that one is left alone.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath

from agentstead.sandbox.supervisor.rootfs import Arguments, System

BUNDLES = ("etc/ssl/certs/ca-certificates.crt", "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem")
"""Where systems keep the authorities they trust."""
FILE = "/run/agentstead.pem"


def add_authorities(arguments: Arguments, system: System, added: str) -> None:
    """`added`: certificates (PEM); nothing is done where there are none."""
    if not added:
        return
    found = next(_bundles(system), None)
    known = found[1].read_text(errors="replace") if found else ""
    text = f"{known.rstrip()}\n{added.strip()}\n".lstrip().encode()
    arguments.data(text, FILE)
    if found and system.upper is None:
        arguments.data(text, f"/{found[0]}")


def _bundles(system: System) -> Iterator[tuple[str, Path]]:
    """The system's file, inside and as we reach it; never through a link of an image's."""
    parts = [*reversed(system.layers), system.image or Path("/")]
    for name in BUNDLES:
        steps = [PurePath(name), *PurePath(name).parents][:-1]
        linked = any((part / step).is_symlink() for part in parts for step in steps)
        for part in parts:
            if not linked and (part / name).is_file():
                yield name, part / name
                break
