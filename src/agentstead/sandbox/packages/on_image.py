"""Installs packages into an image, by all six managers in one after the other, as a layer on top of it.

Needs the platform to run as root, and an image whose files have users of their own (`sandbox.layers`).
"""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.layers import LayerFailed, build_layer
from agentstead.sandbox.packages.fault import PackagesFault, could_not
from agentstead.sandbox.packages.recipe import MISSING, Recipe, Step
from agentstead.sandbox.sandbox import SandboxSpec

ENV = {
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_ROOT_USER_ACTION": "ignore",
    "CARGO_HOME": "/tmp/cargo",  # noqa: S108 - inside, where it is the build's own
    "GOPATH": "/tmp/go",  # noqa: S108
    "GOCACHE": "/tmp/go-cache",  # noqa: S108
    "GOBIN": "/usr/local/bin",
}
PROGRAMS = {"apt": "apt-get", "pip": "python3"}
COMMANDS = {
    # what it fetched for this is no part of the layer, which it would make many times as large
    "apt": (
        "apt-get update -qq && apt-get install -y -q --no-install-recommends -- {packages} && "
        "apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin"
    ),
    "cargo": "cargo install --root /usr/local -- {packages}",
    "gem": "gem install --no-document -- {packages}",
    "npm": (
        "npm install --global --prefix /usr/local --no-audit --no-fund --no-update-notifier "
        "--loglevel=error -- {packages}"
    ),
    "pip": "python3 -m pip install --no-input --no-cache-dir --progress-bar off -- {packages}",
}


def scripts(packages: Mapping[str, Sequence[str]]) -> Iterator[Step]:
    """What is run in the image, in this order."""
    for manager, names in packages.items():
        # of go's packages each may have a version of its own, which one command does not take
        command = (
            " && ".join(f"go install -- {shlex.quote(versioned(name))}" for name in names)
            if manager == "go"
            else COMMANDS[manager].format(packages=" ".join(map(shlex.quote, names)))
        )
        program = PROGRAMS.get(manager, manager)
        missing = f"command -v {program} >/dev/null || exit {MISSING}"
        yield Step(manager, tuple(names), f"{missing}\n{command}")


def versioned(name: str) -> str:
    """Go wants a version."""
    return name if "@" in name else f"{name}@latest"


async def install(
    builds: Bubblewrap, spec: SandboxSpec, recipe: Recipe, into: Path, tell: Callable[[str], None]
) -> None:
    """Make `into` what they change. Raises PackagesFault, SandboxFault."""
    todo = list(scripts(recipe.packages))
    tell(todo[0].manager)
    number = 0
    try:
        commands = [step.command for step in todo]
        async for _ in build_layer(builds, spec, commands, into, sandbox_id=recipe.sandbox_id):
            number += 1
            if number < len(todo):
                tell(todo[number].manager)
    except LayerFailed as failed:
        step = todo[failed.number]
        if failed.lines and failed.lines[-1] == f"[exit code {MISSING}]":
            raise PackagesFault(
                f"There is no {step.manager} in the image of this environment: take one that has it,"
                " or list its Debian package under apt."
            ) from failed
        raise could_not(step, "\n".join(failed.lines)) from failed
