"""Waits for a pod: until it runs, or is gone. By a watch, begun anew from a list where the server forgot."""

from collections.abc import AsyncIterator
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.engine import EngineFault
from agentstead.sandbox.engines.kubernetes.api import KubernetesApi

HOPELESS = {
    "ErrImageNeverPull", "InvalidImageName", "ImagePullBackOff", "CreateContainerConfigError",
    "CreateContainerError", "RunContainerError", "CrashLoopBackOff",
}  # fmt: skip
"""Why a container waits, where waiting does not help."""
GONE = 410
LEAVE_SECONDS = 60.0


class Pods:
    """The pods of a namespace."""

    def __init__(self, api: KubernetesApi, path: str, clock: Clock, start_seconds: float) -> None:
        self._api = api
        self._path = path
        self._clock = clock
        self._start_seconds = start_seconds

    async def ready(self, selector: str) -> None:
        """Every container of the pod runs; SandboxFault when that does not come about."""
        last: Any = None
        async for pods in self._seen(selector, self._start_seconds):
            if not pods and last is not None:
                raise SandboxFault("The sandbox cannot start: its pod was deleted.", kind="start")
            for pod in pods:
                last = pod
                trouble = _hopeless(pod)
                if trouble:
                    raise SandboxFault(f"The sandbox cannot start: {trouble}", kind="start")
                if _all_run(pod):
                    return
        why = _reason(last) if last is not None else "no pod was made"
        raise SandboxFault(
            f"The sandbox cannot start within {self._start_seconds:g} s: {why}", kind="start"
        )

    async def left(self, selector: str) -> None:
        """No pod that is being deleted is left; EngineFault when one stays."""
        async for pods in self._seen(selector, LEAVE_SECONDS):
            if not any("deletionTimestamp" in pod["metadata"] for pod in pods):
                return
        raise EngineFault("A pod of the sandbox does not end.")

    async def _seen(self, selector: str, seconds: float) -> AsyncIterator[list[Any]]:
        """The pods, now and after each change, until the time is over."""
        until = self._clock.monotonic() + seconds
        while (rest := until - self._clock.monotonic()) > 0:
            listed = await self._api.json("GET", self._path, labelSelector=selector)
            pods = {pod["metadata"]["uid"]: pod for pod in listed["items"]}
            yield list(pods.values())
            version = listed["metadata"]["resourceVersion"]
            try:
                async for change in self._api.watch(
                    self._path, rest, labelSelector=selector, resourceVersion=version
                ):
                    pod = change["object"]
                    if change["type"] == "DELETED":
                        pods.pop(pod["metadata"]["uid"], None)
                    else:
                        pods[pod["metadata"]["uid"]] = pod
                    yield list(pods.values())
            except EngineFault as fault:
                if fault.status != GONE:
                    raise


def _statuses(pod: Any) -> list[Any]:
    return list(pod.get("status", {}).get("containerStatuses") or ())


def _all_run(pod: Any) -> bool:
    statuses = _statuses(pod)
    wanted = len(pod["spec"]["containers"])
    return len(statuses) == wanted and all(
        "running" in (one.get("state") or {}) for one in statuses
    )


def _hopeless(pod: Any) -> str:
    for one in _statuses(pod):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in HOPELESS:
            words = last_words(pod, one["name"])
            said = f"{waiting['reason']}: {waiting.get('message', '')} {words}"
            return f"container {one['name']}: {said}".strip()
    status = pod.get("status", {})
    if status.get("phase") in ("Failed", "Succeeded"):
        return f"its pod ended: {status.get('reason', '')} {status.get('message', '')}".strip()
    return ""


def _reason(pod: Any) -> str:
    """What a pod that does not run is waiting for."""
    for one in _statuses(pod):
        waiting = (one.get("state") or {}).get("waiting")
        if waiting:
            return f"container {one['name']}: {waiting.get('reason')}: {waiting.get('message', '')}"
    for condition in pod.get("status", {}).get("conditions") or ():
        if condition.get("status") == "False" and condition.get("message"):
            return str(condition["message"])
    return f"its pod is {pod.get('status', {}).get('phase', 'unknown')}"


def last_words(pod: Any, container: str) -> str:
    """What a container said before it ended the last time."""
    for one in _statuses(pod):
        if one["name"] == container:
            ended = (one.get("lastState") or {}).get("terminated") or {}
            return str(ended.get("message") or "").strip()
    return ""
