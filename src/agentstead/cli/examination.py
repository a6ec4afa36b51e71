"""Looks at everything the platform needs of a machine; secrets are never shown, only that they are set."""

import os
import platform
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from agentstead.app import checks
from agentstead.app.hands import hands_of
from agentstead.app.presence import read_presence
from agentstead.app.rooms import limits_of
from agentstead.clock import SystemClock
from agentstead.errors import AgentsteadError, StoreFault
from agentstead.providers.catalogue import Catalogue
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.images import debian
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.managers import SYSTEM_PATH
from agentstead.sandbox.probing import system_of
from agentstead.sandbox.sandbox import Probe
from agentstead.sandbox.supervisor.watch import size
from agentstead.settings import Settings
from agentstead.store import binaries
from agentstead.store.embedded import EmbeddedPostgres
from agentstead.store.pool import Database

NOT_YET = (
    "web_fetch and web_search: accepted in an agent's tools, not offered to the model",
    "environment_variable credentials of vaults where sandboxes run on an engine: not set",
    "compaction: a conversation that no longer fits the model ends its turn",
)
"""What is accepted on the wire and does not do its work in this version."""
MODELS_SHOWN = 12
"""At most so many names in one finding."""


class Grade(Enum):
    """How a finding is."""

    OK = "ok"
    NOTE = "note"
    LACKING = "lacking"
    """Works, with something missing that matters."""
    FAILED = "FAILED"
    """Must be mended before the platform can do its work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    grade: Grade
    about: str
    what: str
    remedies: Sequence[str] = ()


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything."""
    return [
        python(),
        data_directory(settings.data_dir),
        await database(settings),
        server(settings),
        await sandbox(settings),
        limits(settings),
        system(settings),
        git(settings),
        *models(settings),
        prices(settings),
        judge(settings),
        Finding(Grade.NOTE, "not available yet", f"{len(NOT_YET)} features", NOT_YET),
    ]


def python() -> Finding:
    """The interpreter."""
    version = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Finding(Grade.OK, "Python", version)


def data_directory(path: Path) -> Finding:
    """Whether there is a place to keep things, with room on the disk. Makes nothing."""
    there = path if path.exists() else next(p for p in path.parents if p.exists())
    free = shutil.disk_usage(there).free
    what = f"{path}, {free / (1 << 30):.1f} GiB free"
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        remedy = f"Make {there} writable for this user, or name another place with --data-dir."
        return Finding(Grade.FAILED, "data directory", f"{what}, not writable", [remedy])
    if free < checks.FREE_BYTES_MIN:
        return Finding(Grade.FAILED, "data directory", what, ["Make room on that disk."])
    return Finding(Grade.OK, "data directory", what + ("" if path.exists() else " (not made yet)"))


async def database(settings: Settings) -> Finding:
    """Whether the database can be reached, or started."""
    url = settings.database_url
    kind = "embedded" if url is None else "external"
    try:
        if url is None:
            if not EmbeddedPostgres(settings.data_dir).postmaster.running():
                binaries.programs(binaries.installed())
                return Finding(Grade.OK, "database", "embedded PostgreSQL, started by `serve`")
            url = await EmbeddedPostgres(settings.data_dir).attach()
        opened = await Database.open(url, connections_max=1)
        try:
            row = await opened.fetch_one("select current_setting('server_version') as version")
        finally:
            await opened.close()
    except StoreFault as fault:
        remedy = "Start it, or correct --database-url (AGENTSTEAD_DATABASE_URL)."
        return Finding(Grade.FAILED, "database", fault.message.splitlines()[0], [remedy])
    except (AgentsteadError, OSError) as error:
        what, *remedies = str(error).splitlines()
        return Finding(Grade.FAILED, "database", what, remedies)
    version = row["version"] if row else "unknown"
    return Finding(Grade.OK, "database", f"{kind} PostgreSQL {version}, reached")


def server(settings: Settings) -> Finding:
    """Whether a server runs on the data directory."""
    held = read_presence(settings.data_dir)
    if held is None:
        return Finding(
            Grade.NOTE, "server", "none runs here", ["Start one with `agentstead serve`."]
        )
    return Finding(Grade.OK, "server", f"runs at {held.url} (process {held.pid})")


async def sandbox(settings: Settings) -> Finding:
    """Start a sandbox for real, in a place of its own, and see whether it holds."""
    try:
        probe = await probe_of(settings)
    except (AgentsteadError, OSError) as error:
        what, *remedies = str(error).splitlines()
        return Finding(Grade.FAILED, "sandbox", what, remedies)
    what = f"{probe.provider}, {probe.mode}, limits by {probe.limits}, network {probe.network}"
    if not probe.ok:
        return Finding(Grade.FAILED, "sandbox", f"{what}: does not hold", probe.problems)
    return Finding(Grade.LACKING if probe.problems else Grade.OK, "sandbox", what, probe.problems)


def limits(settings: Settings) -> Finding:
    """What sandboxes may use: where their environment says nothing, and at most."""
    given = limits_of(settings)
    what = (
        f"memory {size(given.memory_bytes)}, {given.processes_max} processes, {given.cpus:g} CPUs, "
        f"disk {size(given.disk_bytes)}, {given.open_files_max} open files, {given.call_seconds:g} s a call, "
        f"{size(given.output_bytes)} of output"
    )
    most = settings.sandbox_limits_max
    said = ", ".join(f"{name} {value:g}" for name, value in most.items())
    remedy = "Bound what environments may set with AGENTSTEAD_SANDBOX_LIMITS_MAX."
    return Finding(
        Grade.OK, "limits", f"{what}; environments may set at most: {said or 'anything'}", [] if said else [remedy]
    )  # fmt: skip


async def probe_of(settings: Settings, image: Image | None = None) -> Probe:
    """What a sandbox looks like from inside here, made from this image or the one in force."""
    place = temporary_dir()
    try:
        provider = hands_of(settings, SystemClock(), f"doctor-{os.getpid()}", root=place)
        try:
            if isinstance(provider, Bubblewrap):
                return await provider.probe(image)
            return await provider.probe()
        finally:
            await provider.close()
    finally:
        shutil.rmtree(place, ignore_errors=True)


def system(settings: Settings) -> Finding:
    """What sandboxes' programs come from, and whether packages can be put on top."""
    if settings.sandbox != "bubblewrap":
        what = f"the image {settings.container_image}, on {settings.sandbox}"
        return Finding(Grade.OK, "root file system", what)
    try:
        image = Images.of(settings).in_force()
    except (AgentsteadError, OSError) as error:
        remedy = "Import it again, or choose another with `agentstead image use`."
        return Finding(Grade.FAILED, "root file system", str(error), [remedy])
    what = system_of(image)
    if image is not None:
        can = "packages of apt can be installed into it" if image.ranged else "no packages of apt"
        return Finding(Grade.OK, "root file system", f"{what}; {can}")
    remedies = [
        "Programs of this machine are seen inside; `agentstead image build` makes an image."
    ]
    if shutil.which(debian.PROGRAM) is None:
        remedies.append(f"That needs the package {debian.PROGRAM}, which is missing.")
    return Finding(Grade.NOTE, "root file system", f"{what}; no packages of apt", remedies)


def git(settings: Settings) -> Finding:
    """Whether repositories can be checked out: by this host's program, in a sandbox."""
    if settings.sandbox != "bubblewrap":
        return Finding(Grade.NOTE, "git", f"not needed: no repositories on {settings.sandbox}")
    program = shutil.which("git", path=SYSTEM_PATH)
    if program is None:
        what = "not found; sessions with a repository fail"
        return Finding(Grade.LACKING, "git", what, ["Install the package git."])
    return Finding(Grade.OK, "git", f"{program}, checks out repositories")


def temporary_dir() -> Path:
    """A place of our own; as root the sandbox's user may pass through it."""
    place = Path(tempfile.mkdtemp(prefix="agentstead-doctor-"))
    if os.geteuid() == 0:
        place.chmod(0o711)
    return place


def models(settings: Settings) -> list[Finding]:
    """Which models there are and which keys are set."""
    keys = {
        "Anthropic": settings.anthropic_api_key,
        "OpenAI-compatible": settings.openai_api_key,
    }
    said = ", ".join(
        f"{name} key {'is set' if key else 'is not set'}" for name, key in keys.items()
    )
    try:
        names = Catalogue(settings).names()
    except AgentsteadError as error:
        return [Finding(Grade.FAILED, "models", error.message)]
    shown = ", ".join(names[:MODELS_SHOWN]) + (", …" if len(names) > MODELS_SHOWN else "")
    real = [name for name in names if not name.startswith("scripted")]
    if not real:
        remedy = "Set ANTHROPIC_API_KEY, or AGENTSTEAD_OPENAI_BASE_URL and AGENTSTEAD_MODELS."
        what = f"only {shown}, which is scripted and not an AI; {said}"
        return [Finding(Grade.LACKING, "models", what, [remedy])]
    return [Finding(Grade.OK, "models", f"{shown}; {said}")]


def prices(settings: Settings) -> Finding:
    """Which models have a list price: only on those can a session have a budget."""
    try:
        catalogue = Catalogue(settings)
        named = [catalogue.resolve(name) for name in catalogue.names()]
    except AgentsteadError as error:
        return Finding(Grade.FAILED, "prices", error.message)
    own = settings.prices_file
    file = "none of the operator's" if own is None else f"{len(catalogue.prices.own)} in {own}"
    without = [model.name for model in named if model.price is None]
    what = f"{len(named) - len(without)} of {len(named)} models have a list price; {file}"
    if not without:
        return Finding(Grade.OK, "prices", what)
    shown = ", ".join(without[:MODELS_SHOWN]) + (", …" if len(without) > MODELS_SHOWN else "")
    remedy = f"No budget on {shown}: name what they cost in AGENTSTEAD_PRICES_FILE."
    return Finding(Grade.NOTE, "prices", what, [remedy])


def judge(settings: Settings) -> Finding:
    """Who judges calls under the permission policy `auto`; whether it is a model is told with the models."""
    if settings.judge_model is None:
        remedy = "Calls under `auto` ask the client. Name a small model in AGENTSTEAD_JUDGE_MODEL."
        return Finding(Grade.NOTE, "judge", "none", [remedy])
    return Finding(Grade.OK, "judge", settings.judge_model)
