"""Compiles the runner: `python -m agentstead.sandbox.supervisor.native.build` writes `runner.<machine>` and its
hash beside this file.

Needs gcc (development only); the product ships what was compiled. The same compiler makes the same
file, wherever and whenever.
"""

import hashlib
import platform
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
SOURCE = FOLDER / "runner.c"
MACHINES = ("x86_64",)
WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror")
ALONE = (
    "-Os", "-ffreestanding", "-fno-pie", "-fno-stack-protector", "-fno-asynchronous-unwind-tables",
    "-fno-tree-loop-distribute-patterns", "-fcf-protection=none", "-fno-ident",
    "-static", "-no-pie", "-nostdlib", "-s",
    "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,noseparate-code",
)  # fmt: skip
"""Without the C library and without anything that changes from build to build."""


def compile_to(target: Path, *more: str, source: Path = SOURCE) -> None:
    """Compile; CalledProcessError with what the compiler said when it refuses."""
    words = ["gcc", *WARNINGS, *more, str(source), "-o", str(target)]
    subprocess.run(words, check=True, capture_output=True, text=True)


def compiler() -> str:
    """The compiler that is here, as it names itself."""
    said = subprocess.run(["gcc", "--version"], check=True, capture_output=True, text=True).stdout
    return said.splitlines()[0]


def main() -> None:
    """Write the program for this machine, its hash, and what compiled it."""
    machine = platform.machine()
    if machine not in MACHINES:
        sys.exit(f"there is no runner in C for {machine}, only for {', '.join(MACHINES)}")
    target = FOLDER / f"runner.{machine}"
    compile_to(target, *ALONE)
    target.chmod(0o644)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    (FOLDER / f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n# {compiler()}\n")


if __name__ == "__main__":
    main()
