"""Installs packages for the root file system that sandboxes have by default: in a sandbox like any other,
whose only ways out are the hosts of the package managers.

What an installer runs is as foreign as what an agent runs, so it is kept in the same way: a host user
of its own, the same limits, the same isolation. Its workspace is where the packages will be, so paths
that an installer writes down hold. It survives the process that waits for it: the next one attaches.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox import ending, link
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.managers import SYSTEM_PATH, ask, hosts_in
from agentstead.sandbox.packages import on_image
from agentstead.sandbox.packages.fault import PackagesFault, could_not
from agentstead.sandbox.packages.layers import TREE
from agentstead.sandbox.packages.recipe import (
    BESIDE_A_SYSTEM,
    MISSING,
    NEEDED,
    NEEDS_IMAGE,
    NEEDS_ROOT,
    Recipe,
    Step,
    index_variables,
    steps,
    wanted,
)
from agentstead.sandbox.sandbox import Limits, Mount, Network, SandboxSpec
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.supervisor.runner.packages import PACKAGES
from agentstead.store.blobs import to_its_end

HOME = "/tmp"  # noqa: S108 - inside, where it is the build's own
ASK_SECONDS = 15.0
ATTEMPTS_MAX = 2
"""A build whose supervisor died is begun anew, once."""
PIP_SAYS = """
import sys, sysconfig
print(sys.version, sysconfig.get_platform())
import pip
print(pip.__version__)
"""
VERSIONS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "npm": {"node": ("node", "--version"), "npm": ("npm", "--version")},
    "pip": {"python": ("python3", "-I", "-c", PIP_SAYS)},
}
"""Manager → what of this host its packages depend on, and how to ask for its version."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a build may use."""

    seconds: float = 900.0
    """For all of it."""
    disk_bytes: int = 4 << 30
    memory_bytes: int = 2 << 30
    builds_max: int = 2
    """At once in one process."""
    retry_seconds: float = 60.0
    """So long a failure is remembered; whoever comes later tries again."""


class Workshop:
    """Builds for the default root file system of this host."""

    def __init__(
        self,
        sandbox: Bubblewrap,
        bounds: Bounds,
        limits: Limits,
        clock: Clock,
        images: Images | None = None,
    ) -> None:
        self.sandbox = sandbox
        self.images = images
        self.bounds = bounds
        self.clock = clock
        self._limits = replace(
            limits,
            memory_bytes=bounds.memory_bytes,
            disk_bytes=bounds.disk_bytes,
            call_seconds_max=bounds.seconds,
        )
        self._versions: dict[str, dict[str, str]] = {}

    async def recipe(self, environment: Mapping[str, Any]) -> Recipe | None:
        """What a session's `environment` lists; None: nothing. Raises PackagesFault for what cannot be."""
        packages = wanted(environment.get("config", {}))
        image = str((environment.get("agentstead") or {}).get("image") or "")
        if not packages:
            return None
        whole = bool(image) and await asyncio.to_thread(installs_into, self.images, image)
        for manager in packages:
            if not whole and manager not in BESIDE_A_SYSTEM:
                why = NEEDS_ROOT if image else NEEDS_IMAGE
                raise PackagesFault(f"{manager} cannot install here. {why}")
        base = {} if image else await self._base(packages)
        return Recipe(packages, base, self.env, image, whole)

    async def _base(self, managers: Iterable[str]) -> dict[str, str]:
        """What the packages of these managers depend on, with its version; asked for once."""
        for manager in managers:
            if manager not in self._versions:
                asked = VERSIONS[manager]
                said = await asyncio.gather(*(_said(words) for words in asked.values()))
                self._versions[manager] = dict(zip(asked, said, strict=True))
        return {name: text for one in managers for name, text in self._versions[one].items()}

    @property
    def env(self) -> dict[str, str]:
        """The variables that say where packages come from."""
        return index_variables(self.sandbox.env)

    async def install(self, recipe: Recipe, draft: Path, tell: Callable[[str], None]) -> None:
        """Leave the packages in `draft`/tree. Raises PackagesFault, SandboxFault."""
        if self.sandbox.egress is None:
            raise PackagesFault("Sandboxes have no network here, so nothing can be installed.")
        for attempt in range(ATTEMPTS_MAX):
            try:
                if recipe.whole:
                    await self._into(recipe, draft / TREE, tell)
                else:
                    await self._beside(recipe, draft / TREE, tell)
                return
            except SandboxFault as fault:
                if fault.kind not in ("unknown", "lost") or attempt + 1 == ATTEMPTS_MAX:
                    raise

    async def _into(self, recipe: Recipe, tree: Path, tell: Callable[[str], None]) -> None:
        builds = Bubblewrap(
            self.sandbox.root,
            clock=self.clock,
            egress=self.sandbox.egress,
            env=self.sandbox.env,
            images=self.images,
            installing=True,
        )
        limits = replace(self._limits, call_seconds=self.bounds.seconds)
        spec = replace(
            self._spec(), limits=limits, env={**on_image.ENV, **self.env}, image=recipe.image
        )
        try:
            async with asyncio.timeout(self.bounds.seconds):
                await on_image.install(builds, spec, recipe, tree, tell)
        except TimeoutError:
            raise PackagesFault(
                f"The packages were not installed within {self.bounds.seconds:g} s ({recipe.words})."
            ) from None
        finally:
            await builds.close()

    async def _beside(self, recipe: Recipe, tree: Path, tell: Callable[[str], None]) -> None:
        place = Place(self.sandbox.root, recipe.sandbox_id)
        workspace = Mount(str(place.files / "workspace"), PACKAGES, read_only=False)
        spec = replace(self._spec(), mounts=(workspace,), env={"HOME": HOME}, image=recipe.image)
        until = self.clock.monotonic() + self.bounds.seconds
        try:
            for step in steps(recipe.packages):
                tell(step.manager)
                await self._run(place.sandbox_id, spec, step, until)
            await link.ask(place.path, {"op": "stop"})
            await to_its_end(ending.take_workspace, place, tree)
        finally:
            await self.sandbox.destroy(place.sandbox_id)

    async def _run(self, sandbox_id: str, spec: SandboxSpec, step: Step, until: float) -> None:
        left = until - self.clock.monotonic()
        if left <= 0:
            raise PackagesFault(f"{step.manager}: no time was left for it.")
        arguments = {"command": step.command, "timeout_ms": max(1, int(left * 1000))}
        outcome = await self.sandbox.call(sandbox_id, spec, step.manager, "bash", arguments)
        if not outcome.is_error:
            return
        output = "\n".join(str(block.get("text", "")) for block in outcome.content)
        if output.rstrip().endswith(f"[exit code {MISSING}]"):
            raise PackagesFault(
                f"There is no {step.manager} on this platform; its operator can install the system's"
                f" package {NEEDED[step.manager]}."
            )
        raise could_not(step, output)

    def _spec(self) -> SandboxSpec:
        return SandboxSpec(
            limits=self._limits,
            network=Network("limited", hosts_in(self.env.values()), package_managers=True),
        )


def installs_into(images: Images | None, image_id: str) -> bool:
    """Whether packages can be installed into this image here, and not only beside its system."""
    if images is None or os.geteuid() != 0:
        return False
    image, _ = images.opened(image_id)
    return image.ranged


async def _said(words: tuple[str, ...]) -> str:
    """What a program of this host answers; sandboxes have the same one."""
    try:
        return (await ask(words, ASK_SECONDS, {"PATH": SYSTEM_PATH})).strip()
    except FileNotFoundError:
        return "missing"
    except TimeoutError:
        return "silent"
