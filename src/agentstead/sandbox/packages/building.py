"""Has the packages of environments ready for sandboxes: builds a layer where there is none.

Of one layer there is at most one build on this host, whoever wants it; the others wait and use it. A
layer is there whole or not at all, whatever dies when. A failure is remembered for a short while, so
that the calls of a turn do not each build in vain, and forgotten, so that a later one does.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox.packages.fault import PackagesFault
from agentstead.sandbox.packages.layers import TREE, Layers
from agentstead.sandbox.packages.recipe import Recipe, wanted
from agentstead.sandbox.packages.workshop import Bounds, Workshop
from agentstead.sandbox.sandbox import Prepared
from agentstead.sandbox.supervisor.place import BUILD
from agentstead.store.blobs import to_its_end
from agentstead.telemetry import logs
from agentstead.telemetry.metrics import Metrics

FAILURE_SECONDS = 86_400.0
"""For so long people can see why packages are missing."""
POLL_SECONDS = 0.2
"""Between two looks whether another process has finished."""

log = logs.get("packages")


class Packages:
    """The packages of this process's sandboxes."""

    def __init__(self, layers: Layers, workshop: Workshop, clock: Clock, metrics: Metrics) -> None:
        self.layers = layers
        self.workshop = workshop
        self.clock = clock
        self.metrics = metrics
        self.bounds: Bounds = workshop.bounds
        self._builds: dict[str, asyncio.Task[Path]] = {}
        self._early: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(self.bounds.builds_max)

    async def prepared(self, environment: Mapping[str, Any], *, wait: bool = True) -> Prepared:
        """Where what a session's `environment` lists is; nowhere where it lists nothing.

        Builds it where it is not there; without `wait` the answer is then nowhere. A build goes on when
        the caller is cancelled. Raises SandboxFault with the installer's last lines.
        """
        recipe = await self.workshop.recipe(environment)
        if recipe is None:
            return Prepared()
        key = recipe.key
        try:
            tree = await asyncio.to_thread(self.layers.tree, key)
        except OSError as error:
            raise cannot_keep(error) from error
        if tree is not None:
            return placed(recipe, tree)
        if not wait:
            return Prepared()
        task = self._builds.get(key)
        if task is None:
            task = self._builds[key] = asyncio.create_task(self._made(recipe), name=f"layer {key}")
            task.add_done_callback(lambda done: self._over(key, done))
        return placed(recipe, await asyncio.shield(task))

    def begin(self, environment: Mapping[str, Any]) -> None:
        """Have it built, for somebody who will need it soon; nobody hears of a failure here."""
        if not wanted(environment.get("config", {})):
            return
        task = asyncio.create_task(self._begin(environment), name="packages, early")
        self._early.add(task)
        task.add_done_callback(self._early.discard)

    async def close(self) -> None:
        """End what is being built here."""
        tasks = [*self._early, *self._builds.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def sweep(self) -> None:
        """Delete what builds have left behind that died, and that nobody has taken up again."""
        builds = [one.removeprefix(BUILD) for one in await self.workshop.sandbox.builds()]
        for key in {*builds, *await asyncio.to_thread(self.layers.drafts)}:
            lock = self.layers.lock(key)
            if lock is None:
                continue
            try:
                await self.workshop.sandbox.destroy(f"{BUILD}{key}")
                await to_its_end(self.layers.clear, key)
                log.info("half-built packages deleted", layer=key)
            finally:
                os.close(lock)
        for failure in await asyncio.to_thread(lambda: list(self.layers.failures())):
            if self.clock.now() - failure.at > FAILURE_SECONDS:
                self.layers.forget_failure(failure.key)

    async def forget(self, seconds: float) -> None:
        """Delete the layers that no sandbox has used for so long; whoever wants one builds it again."""
        for layer in await asyncio.to_thread(self.layers.unused, seconds, self.clock.now()):
            if await to_its_end(self.layers.remove, layer.key):
                log.info("unused packages deleted", layer=layer.key, size_bytes=layer.size_bytes)

    async def _begin(self, environment: Mapping[str, Any]) -> None:
        try:
            await self.prepared(environment)
        except SandboxFault:
            return  # the call that needs them is told

    def _over(self, key: str, task: "asyncio.Task[Path]") -> None:
        del self._builds[key]
        if not task.cancelled():
            task.exception()  # whoever waits is told; nobody may be left to wait

    async def _made(self, recipe: Recipe) -> Path:
        """The layer, built here or by whoever was first."""
        key = recipe.key
        try:
            while (lock := self.layers.lock(key)) is None:
                await self.clock.sleep(POLL_SECONDS)
        except OSError as error:
            raise cannot_keep(error) from error
        try:
            tree = self.layers.tree(key)
            if tree is not None:
                return tree
            failure = self.layers.failure(key)
            if failure and self.clock.now() - failure.at < self.bounds.retry_seconds:
                raise PackagesFault(failure.words)
            async with self._room:
                return await self._build(recipe)
        finally:
            os.close(lock)

    async def _build(self, recipe: Recipe) -> Path:
        key, packages = recipe.key, {name: list(each) for name, each in recipe.packages.items()}
        begun, since = self.clock.monotonic(), self.clock.now()
        log.info("packages are being installed", layer=key, packages=recipe.words)
        try:
            draft = await to_its_end(self.layers.draft, key)
            await self.workshop.install(
                recipe, draft, lambda words: self.layers.begun(key, packages, since, words)
            )
            # cancelled or not: nothing may be taken away from under it
            layer = await to_its_end(
                self.layers.publish, key, packages, self.clock.now(), ours=not recipe.whole
            )
        except (SandboxFault, OSError, ValueError) as fault:
            words = cannot_keep(fault).message if isinstance(fault, OSError) else str(fault)
            with suppress(OSError):
                self.layers.failed(key, packages, self.clock.now(), words)
            self._note("failed", begun)
            log.warning("packages could not be installed", layer=key, error=words)
            raise PackagesFault(words) from fault
        finally:
            with suppress(OSError):
                await to_its_end(self.layers.clear, key)
        self._note("ok", begun)
        log.info("packages are installed", layer=key, size_bytes=layer.size_bytes)
        return self.layers.root / key / TREE

    def _note(self, outcome: str, begun: float) -> None:
        self.metrics.packages_built(outcome, self.clock.monotonic() - begun)


def cannot_keep(error: OSError) -> PackagesFault:
    """The disk is full, or not ours."""
    return PackagesFault(f"They cannot be kept in the data directory: {error.strerror}.")


def placed(recipe: Recipe, tree: Path) -> Prepared:
    """How a sandbox gets them."""
    return Prepared(layers=(str(tree),)) if recipe.whole else Prepared(packages=str(tree))
