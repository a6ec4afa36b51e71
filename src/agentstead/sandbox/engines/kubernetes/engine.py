"""Sandboxes on Kubernetes: how their pods are made, found, reached and removed."""

import base64
from collections.abc import AsyncIterator
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.bundle import bundle
from agentstead.sandbox.engines.engine import EngineFault, Found, Plan
from agentstead.sandbox.engines.kubernetes import pod as made
from agentstead.sandbox.engines.kubernetes.api import KubernetesApi, PodStream
from agentstead.sandbox.engines.kubernetes.ledger import REFUSED, Ledger
from agentstead.sandbox.engines.kubernetes.survey import network_closed, survey
from agentstead.sandbox.engines.kubernetes.waiting import Pods, last_words
from agentstead.sandbox.sandbox import Output

ATTEMPTS_MAX = 4
GRACE = "1"
"""Seconds from the wish to delete a pod to its end: the node still says that it has ended."""
ENDED = ("Succeeded", "Failed")
GROUP = "agents.x-k8s.io"
"""Of the Sandbox resource."""


class KubernetesEngine:
    """One namespace of a cluster; several platforms may use it, each its own sandboxes by label."""

    name = "kubernetes"
    keeps_files = False
    apart = True

    def __init__(
        self,
        api: KubernetesApi,
        *,
        namespace: str,
        owner: str,
        image: str,
        clock: Clock,
        runtime_class: str = "",
        sandbox_resource: bool = False,
        start_seconds: float = 180.0,
    ) -> None:
        self.api = api
        self.namespace = namespace
        self.owner = owner
        self.image = image
        self.runtime_class = runtime_class
        self.sandbox_resource = sandbox_resource
        self._core = f"/api/v1/namespaces/{namespace}"
        self._pods = Pods(api, f"{self._core}/pods", clock, start_seconds)
        self._ledgers: dict[str, Ledger] = {}
        self._uids: dict[str, str] = {}
        """Of the pods that calls are sent to."""
        self._prepared = False

    async def look(self) -> Found:
        """Ask the cluster what it is and what it allows."""
        return await survey(self.api, self.namespace, self.runtime_class, self.sandbox_resource)

    async def start(self, plan: Plan) -> None:
        """Make its pod and wait until both containers run."""
        if not await network_closed(self.api, self.namespace):
            raise SandboxFault(
                f"The sandbox cannot start: no NetworkPolicy of namespace {self.namespace} denies its pods"
                " all traffic, and without one they would have an unfiltered network.",
                kind="start",
            )
        await self._prepare()
        for _ in range(ATTEMPTS_MAX):
            found = await self._pod(plan.sandbox_id)
            if found is not None and _over(found):
                await self._delete(plan.sandbox_id)
                found = None
            if found is None and not await self._made(plan):
                continue
            await self._started(plan.sandbox_id)
            return
        raise SandboxFault(
            "The sandbox cannot start: another process keeps removing its pod.", kind="start"
        )

    async def admit(self, sandbox_id: str, call_id: str) -> str:
        """Only the pod that was noted first gets the call."""
        pod_uid = self._uids.get(sandbox_id, "")
        if not pod_uid:
            return "lost"  # it was destroyed a moment ago
        noted = await self._ledger(sandbox_id).note(call_id, pod_uid)
        return {pod_uid: "go", REFUSED: "refused"}.get(noted, "lost")

    async def refuse(self, sandbox_id: str, call_id: str) -> bool:
        """Enough where no pod runs: a call that was noted for one that is gone is never sent to another."""
        await self._ledger(sandbox_id).note(call_id, REFUSED)
        return True

    async def connect(self, sandbox_id: str, *, agent: bool = False) -> PodStream | None:
        """A relay beside the supervisor, or in the agent's container."""
        found = await self._pod(sandbox_id)
        if found is None or _over(found):
            return None
        container = made.AGENT if agent else made.KEEPER
        if not _runs(found, container):
            words = last_words(found, container)
            raise EngineFault(
                f"The container {container} of the sandbox's pod does not run (yet). {words}".strip()
            )
        self._uids[sandbox_id] = found["metadata"]["uid"]
        path = f"{self._core}/pods/{found['metadata']['name']}"
        return await self.api.exec(path, container, [*made.PYTHON, "relay", sandbox_id])

    async def last_words(self, sandbox_id: str) -> str:
        """Of both containers, before they ended the last time."""
        try:
            found = await self._pod(sandbox_id)
        except EngineFault:
            return ""
        return " ".join(last_words(found, one) for one in (made.KEEPER, made.AGENT) if found)

    async def running(self) -> set[str]:
        """The sandboxes whose pods run."""
        pods = await self._listed("pods")
        return {_id(pod) for pod in pods if pod.get("status", {}).get("phase") == "Running"}

    async def known(self) -> set[str]:
        """Those with a pod or a ledger."""
        found = {_id(each) for kind in ("pods", "configmaps") for each in await self._listed(kind)}
        return found - {""}

    async def outputs(self, sandbox_id: str) -> list[Output]:  # noqa: ARG002
        """A pod that has ended keeps no files."""
        return []

    async def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:  # noqa: ARG002
        """Nor their content."""
        nothing: tuple[bytes, ...] = ()
        for piece in nothing:
            yield piece
        raise SandboxFault(f"The output {path!r} is not there any more.", kind="gone")

    async def remove(self, sandbox_id: str) -> None:
        """The pod, then the ledger."""
        await self._delete(sandbox_id)
        self._ledgers.pop(sandbox_id, None)
        self._uids.pop(sandbox_id, None)
        await self._gone(f"{self._core}/configmaps/{made.name(self.owner, sandbox_id)}")

    async def close(self) -> None:
        """Give back connections."""
        await self.api.close()

    # --- objects

    def _selector(self, sandbox_id: str = "") -> str:
        one = f",{made.SANDBOX}={made.digest(sandbox_id)}" if sandbox_id else ""
        return f"{made.OWNER}={self.owner}{one}"

    async def _listed(self, kind: str, sandbox_id: str = "") -> list[Any]:
        path = f"{self._core}/{kind}"
        listed = await self.api.json("GET", path, labelSelector=self._selector(sandbox_id))
        return list(listed["items"])

    async def _pod(self, sandbox_id: str) -> Any:
        """Its pod, by label: whoever made it may have named it."""
        pods = [pod for pod in await self._listed("pods", sandbox_id) if not _leaving(pod)]
        return pods[0] if pods else None

    def _ledger(self, sandbox_id: str) -> Ledger:
        if sandbox_id not in self._ledgers:
            meta = made.metadata(self.owner, sandbox_id)
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {}}
            self._ledgers[sandbox_id] = Ledger(self.api, f"{self._core}/configmaps", body)
        return self._ledgers[sandbox_id]

    async def _prepare(self) -> None:
        """The program lies in the namespace."""
        if self._prepared:
            return
        labels = {**made.MANAGED, made.OWNER: self.owner}
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": made.library(self.owner), "labels": labels},
            "immutable": True,
            "binaryData": {"lib.pyz": base64.b64encode(bundle()).decode()},
        }
        try:
            await self.api.json("POST", f"{self._core}/configmaps", body)
        except EngineFault as fault:
            if fault.status != 409:
                raise
        self._prepared = True

    async def _made(self, plan: Plan) -> bool:
        """Whether there is a pod to wait for now."""
        args = (plan, self.owner, self.image, self.runtime_class)
        try:
            if self.sandbox_resource:
                body = await self._sandbox_body(plan)
                await self.api.json("POST", await self._sandboxes(), body)
            else:
                await self.api.json("POST", f"{self._core}/pods", made.pod(*args))
        except EngineFault as fault:
            if fault.status == 409:  # somebody else's, or one that is still leaving
                await self._pods.left(self._selector(plan.sandbox_id))
                return await self._pod(plan.sandbox_id) is not None
            raise
        return True

    async def _started(self, sandbox_id: str) -> None:
        try:
            await self._pods.ready(self._selector(sandbox_id))
        except SandboxFault:
            await self._delete(sandbox_id)
            raise

    async def _delete(self, sandbox_id: str) -> None:
        """Its pod is gone when this returns."""
        name = made.name(self.owner, sandbox_id)
        if self.sandbox_resource:
            await self._gone(f"{await self._sandboxes()}/{name}")
        for pod in await self._listed("pods", sandbox_id):
            await self._gone(
                f"{self._core}/pods/{pod['metadata']['name']}", gracePeriodSeconds=GRACE
            )
        await self._pods.left(self._selector(sandbox_id))

    async def _gone(self, path: str, **query: Any) -> None:
        try:
            await self.api.json("DELETE", path, **query)
        except EngineFault as fault:
            if fault.status not in (404, 409):
                raise

    # --- the Sandbox resource

    async def _sandboxes(self) -> str:
        return f"/apis/{await self._version()}/namespaces/{self.namespace}/sandboxes"

    async def _version(self) -> str:
        group = await self.api.json("GET", f"/apis/{GROUP}")
        return str(group["preferredVersion"]["groupVersion"])

    async def _sandbox_body(self, plan: Plan) -> dict[str, Any]:
        meta = made.metadata(self.owner, plan.sandbox_id)
        spec = made.spec(plan, self.owner, self.image, self.runtime_class)
        given = {"labels": meta["labels"], "annotations": meta["annotations"]}
        return {
            "apiVersion": await self._version(),
            "kind": "Sandbox",
            "metadata": meta,
            "spec": {"podTemplate": {"metadata": given, "spec": spec}},
        }


def _id(found: Any) -> str:
    return str((found["metadata"].get("annotations") or {}).get(made.SANDBOX, ""))


def _leaving(pod: Any) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def _over(pod: Any) -> bool:
    return pod.get("status", {}).get("phase") in ENDED


def _runs(pod: Any, container: str) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return any(
        one["name"] == container and "running" in (one.get("state") or {}) for one in statuses
    )
