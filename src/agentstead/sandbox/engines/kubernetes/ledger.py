"""Which calls were sent to which pod: kept in a ConfigMap, since a pod may be lost with its journal.

A call is noted before it is sent. One that was sent to a pod that is gone is never sent to another; what the
journal of a living pod says of a call is the journal's to say. Writing is guarded by the object's version, so
that two workers cannot both be first.
"""

import asyncio
from hashlib import sha256
from typing import Any

from agentstead.sandbox.engines.engine import EngineFault
from agentstead.sandbox.engines.kubernetes.api import KubernetesApi
from agentstead.sandbox.supervisor.journal import PLAIN_ID

CALLS_MAX = 4000
"""Kept of one sandbox; a ConfigMap holds 1 MiB."""
DROPPED = 1000
ATTEMPTS_MAX = 5
REFUSED = "refused"


class Ledger:
    """Of one sandbox."""

    def __init__(self, api: KubernetesApi, path: str, body: dict[str, Any]) -> None:
        self._api = api
        self._path = path
        """Of the namespace's ConfigMaps."""
        self._body = body
        self._known: dict[str, Any] | None = None
        self._writing = asyncio.Lock()

    async def note(self, call_id: str, pod_uid: str) -> str:
        """Note who gets the call, unless somebody has it: `pod_uid`, another pod's, or `refused`."""
        async with self._writing:
            for _ in range(ATTEMPTS_MAX):
                data = await self._data()
                key = _key(call_id)
                if key in data:
                    return data[key].partition(":")[2]
                if await self._written(data, key, pod_uid):
                    return pod_uid
        raise EngineFault("The ledger of the sandbox is written by too many at once.", 409)

    async def _data(self) -> dict[str, str]:
        if self._known is None:
            name = self._body["metadata"]["name"]
            for method, path, body in (
                ("GET", f"{self._path}/{name}", None),
                ("POST", self._path, self._body),
                ("GET", f"{self._path}/{name}", None),
            ):
                try:
                    self._known = await self._api.json(method, path, body)
                    break
                except EngineFault as fault:
                    if fault.status not in (404, 409):
                        raise
        if self._known is None:
            raise EngineFault("The ledger of the sandbox comes and goes.", 409)
        return self._known.get("data") or {}

    async def _written(self, data: dict[str, str], key: str, value: str) -> bool:
        assert self._known is not None
        last = max((int(entry.partition(":")[0]) for entry in data.values()), default=0)
        changes: dict[str, str | None] = {key: f"{last + 1}:{value}"}
        if len(data) >= CALLS_MAX:
            oldest = sorted(data, key=lambda one: int(data[one].partition(":")[0]))[:DROPPED]
            changes.update(dict.fromkeys(oldest))
        meta = self._known["metadata"]
        patch = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "data": changes}
        try:
            self._known = await self._api.json(
                "PATCH", f"{self._path}/{meta['name']}", patch, patch=True
            )
        except EngineFault as fault:
            self._known = None  # whatever happened, it is read again
            if fault.status not in (404, 409):
                raise
            return False
        return True


def _key(call_id: str) -> str:
    if PLAIN_ID.fullmatch(call_id):
        return call_id
    return f"-{sha256(call_id.encode()).hexdigest()}"
