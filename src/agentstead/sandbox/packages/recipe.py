"""What the packages of an environment are made from, the name that follows from it, and the commands
that install them. Pure.

The same lists on the same interpreters, from the same indexes, are the same layer: every session of
every environment shares it, and nothing is built twice.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agentstead.sandbox.supervisor.place import BUILD
from agentstead.sandbox.supervisor.runner.packages import NODE_PACKAGES, PYTHON_PACKAGES
from agentstead.wire.environment import MANAGERS

FORM = 1
"""Of layers; a higher one builds all of them anew."""
KEY_CHARACTERS = 32
LAST_LINES, LAST_CHARACTERS = 12, 1600
"""Of an installer's output: what people and models are shown."""
MISSING = 97
"""How a command ends when there is no such manager."""
CREDENTIALS = re.compile(
    r"(?<=://)[^/\s@]+(?=@)"
    r"|(?<=_authToken=)\S+|(?<=_auth=)\S+|(?<=_password=)\S+"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9+/._~=-]{8,}"
    r"|(?i:(?<=token=)|(?<=password=)|(?<=secret=))[^\s&\"']+"
)
MASK = "[redacted]"
INDEXES = re.compile(r"(?i)(PIP|NPM_CONFIG|UV|CARGO|GEM|BUNDLE|GO|RUBYGEMS)[A-Z_]*")
"""Variables that say where a package manager looks, and how."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one manager is to do."""

    manager: str
    packages: tuple[str, ...]
    command: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a layer depends on."""

    packages: Mapping[str, tuple[str, ...]]
    """Manager → what it installs, in the order of installing; without empty lists."""
    base: Mapping[str, str] = field(default_factory=dict)
    """What it is installed on: interpreters and managers with their versions, or an image."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Variables that say where managers look."""
    image: str = ""
    """The id of the image that they are for; empty: the host's own system directories."""
    whole: bool = False
    """Whether they are installed into that image, and not beside its system."""

    @property
    def sandbox_id(self) -> str:
        """Of the sandbox in which they are installed."""
        return f"{BUILD}{self.key}"

    @property
    def key(self) -> str:
        """The name of the layer."""
        parts = [
            FORM,
            list(self.packages.items()),
            sorted(self.base.items()),
            sorted(self.env.items()),
            self.image,
            self.whole,
        ]
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:KEY_CHARACTERS]

    @property
    def words(self) -> str:
        """`pip: pandas, plotly; npm: prettier`."""
        listed = (f"{name}: {', '.join(each)}" for name, each in self.packages.items())
        return without_credentials("; ".join(listed))


def wanted(config: Mapping[str, object]) -> dict[str, tuple[str, ...]]:
    """What an environment's `config` lists, in the order of installing."""
    lists = config.get("packages") or {}
    assert isinstance(lists, Mapping)
    return {name: tuple(lists[name]) for name in MANAGERS if lists.get(name)}


def index_variables(env: Mapping[str, str]) -> dict[str, str]:
    """Those of a sandbox's variables that say where packages come from."""
    return {name: value for name, value in env.items() if INDEXES.fullmatch(name)}


def steps(packages: Mapping[str, Sequence[str]]) -> Iterator[Step]:
    """The commands for the root file system that sandboxes have by default."""
    for manager, names in packages.items():
        listed = " ".join(shlex.quote(name) for name in names)
        yield Step(manager, tuple(names), f"( {COMMANDS[manager].format(packages=listed)} )")


COMMANDS = {
    "npm": (
        f"command -v npm >/dev/null || exit {MISSING}; "
        f"npm install --global --prefix {NODE_PACKAGES} --no-audit --no-fund --no-update-notifier "
        "--loglevel=error -- {packages}"
    ),
    "pip": (
        f"python3 -c 'import pip' 2>/dev/null || exit {MISSING}; "
        f"python3 -m pip install --target {PYTHON_PACKAGES} --no-input --no-cache-dir --progress-bar off "
        "--no-warn-script-location -- {packages}"
    ),
}
"""What each manager that can install beside a system is told; others need a system of their own."""
BESIDE_A_SYSTEM = tuple(COMMANDS)
NEEDS_IMAGE = (
    "It needs a platform that runs as root and an image instead of the host's system directories, which the "
    "operator makes with `agentstead image build`; pip and npm need neither."
)
NEEDS_ROOT = (
    "It installs into an image, which needs the platform to run as root and an image that root imported; "
    "pip and npm need neither."
)
NEEDED = {"npm": "npm", "pip": "python3-pip"}
"""The Debian package that brings a manager."""


def last_words(output: str) -> str:
    """The end of an installer's output, without credentials."""
    lines = [line.rstrip() for line in output.strip().splitlines() if line.strip()]
    return without_credentials("\n".join(lines[-LAST_LINES:]))[-LAST_CHARACTERS:]


def without_credentials(text: str) -> str:
    """Words that an address or an option may hold and nobody should read."""
    return CREDENTIALS.sub(MASK, text)
