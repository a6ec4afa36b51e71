"""Providers over the engines of the tests, and the proof that nothing of them is left afterwards."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.sandbox.engines.docker.engine import DockerEngine
from agentstead.sandbox.engines.engine import Engine
from agentstead.sandbox.engines.hands import EngineSandbox
from agentstead.sandbox.engines.kubernetes.api import KubernetesApi
from agentstead.sandbox.engines.kubernetes.engine import KubernetesEngine
from tests.support import docker_engine as fake
from tests.support import kubernetes_cluster as kube
from tests.support.containers import possible
from tests.support.sandboxes import remains

OWNER, IMAGE = "test", "agent:1"


@dataclass
class OnEngine:
    """A provider over an engine, and the objects that workers have of it."""

    options: dict[str, Any]
    sandboxes: list[EngineSandbox] = field(default_factory=list, init=False)

    def engine_of(self, **given: Any) -> Engine:
        """The engine as one worker reaches it."""
        raise NotImplementedError

    @property
    def sandbox(self) -> EngineSandbox:
        """The first one."""
        return self.sandboxes[0] if self.sandboxes else self.another()

    def newest(self) -> EngineSandbox:
        """The last one that was made: those before it may be closed."""
        return self.sandboxes[-1] if self.sandboxes else self.another()

    def another(self, **options: Any) -> EngineSandbox:
        """A second object for the same sandboxes, as another worker has it."""
        given = {"owner": OWNER, "image": IMAGE, "clock": SystemClock(), **self.options, **options}
        names = ("egress", "decisions", "late_seconds")
        more = {name: given.pop(name) for name in names if name in given}
        idle = given.pop("idle_seconds", 60.0)
        engine = self.engine_of(**given)
        self.sandboxes.append(EngineSandbox(engine, clock=SystemClock(), idle_seconds=idle, **more))
        return self.sandboxes[-1]


@dataclass
class OnDocker(OnEngine):
    """The violence that a test may do to a Docker engine's sandboxes."""

    engine: fake.DockerEngine

    def engine_of(self, **given: Any) -> Engine:
        """Over its socket."""
        return DockerEngine(f"unix://{self.engine.socket}", **given)

    def made(self, sandbox_id: str) -> fake.Made:
        """The container of a sandbox."""
        return self.engine.find(f"agentstead-{OWNER}-{sandbox_id}")

    async def kill(self, sandbox_id: str) -> None:
        """SIGKILL the process that owns a sandbox."""
        made = self.made(sandbox_id)
        made.container.kill()
        assert made.pump is not None
        await asyncio.wait_for(asyncio.shield(made.pump), 5)


@asynccontextmanager
async def on_docker(**options: Any) -> AsyncIterator[OnDocker]:
    """A provider on an engine of its own."""
    if os.geteuid() != 0:
        pytest.skip("containers whose root starts processes of another user need root")
    if possible():
        pytest.skip(f"needs containers: {possible()}")
    async with fake.docker_engine() as engine:
        subject = OnDocker(options, engine)
        try:
            yield subject
        finally:
            if subject.sandboxes:
                for sandbox_id in await subject.sandboxes[-1].reconcile(set()):
                    await subject.sandboxes[-1].destroy(sandbox_id)
            for sandbox in subject.sandboxes:
                await sandbox.close()
            assert engine.made == {}
            assert engine.volumes == {}
    assert remains(str(engine.folder), []) == []


@dataclass
class OnKubernetes(OnEngine):
    """The violence that a test may do to a cluster's sandboxes."""

    cluster: kube.Cluster
    address: str

    def engine_of(self, **given: Any) -> Engine:
        """Over its API."""
        api = KubernetesApi(host=self.address)
        return KubernetesEngine(api, **{"namespace": kube.NAMESPACE, **given})

    def node(self, sandbox_id: str) -> kube.Node:
        """The pod of a sandbox."""
        for node in self.cluster.nodes.values():
            if node.pod["metadata"]["annotations"]["agentstead/sandbox"] == sandbox_id:
                return node
        raise KeyError(sandbox_id)

    async def kill(self, sandbox_id: str) -> None:
        """SIGKILL the process that owns a sandbox."""
        container = self.node(sandbox_id).containers["keeper"]
        container.kill()
        await asyncio.wait_for(container.ended.wait(), 5)


@asynccontextmanager
async def on_kubernetes(**options: Any) -> AsyncIterator[OnKubernetes]:
    """A provider on a cluster of its own."""
    if possible():
        pytest.skip(f"needs containers: {possible()}")
    async with kube.kubernetes_cluster() as (cluster, address):
        subject = OnKubernetes(options, cluster, address)
        try:
            yield subject
        finally:
            if subject.sandboxes:
                for sandbox_id in await subject.sandboxes[-1].reconcile(set()):
                    await subject.sandboxes[-1].destroy(sandbox_id)
            for sandbox in subject.sandboxes:
                await sandbox.close()
            assert cluster.objects["pods"] == {}
            assert {"lib" in name for name in cluster.objects["configmaps"]} <= {True}
    assert remains(str(cluster.folder), []) == []


ENGINES: dict[str, Callable[[], AbstractAsyncContextManager[Any]]] = {
    "docker": on_docker,
    "kubernetes": on_kubernetes,
}
