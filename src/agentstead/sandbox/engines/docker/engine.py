"""Sandboxes on a Docker engine: how they are started, reached, listed and removed through its API."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentstead.clock import Clock
from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.docker import container as made
from agentstead.sandbox.engines.docker.api import (
    OLDEST,
    DockerApi,
    DockerStream,
    named,
    words_of,
)
from agentstead.sandbox.engines.docker.archive import entries
from agentstead.sandbox.engines.engine import EngineFault, Found, Plan
from agentstead.sandbox.guest.place import STATE
from agentstead.sandbox.sandbox import Output

OUTPUTS = "/mnt/session/outputs"
ATTEMPTS_MAX = 4
REMOVE_SECONDS = 30.0
AGAIN_SECONDS = 0.1
WORDS_MAX = 10


class DockerEngine:
    """One engine; several platforms may use it, each its own sandboxes by label."""

    name = "docker"
    keeps_files = True
    apart = False

    def __init__(
        self,
        address: str,
        *,
        owner: str,
        image: str,
        clock: Clock,
        runtime: str = "",
        certificates: Path | None = None,
        start_seconds: float = 180.0,
    ) -> None:
        self.api = DockerApi(address, certificates)
        self.owner = owner
        self.image = image
        self.runtime = runtime
        self._clock = clock
        self._start_seconds = start_seconds

    async def look(self) -> Found:
        """Ask the engine what it is."""
        version = await self.api.version()
        info = await self.api.json("GET", "/info")
        security = [str(option) for option in info.get("SecurityOptions") or ()]
        runtime = self.runtime or info.get("DefaultRuntime") or "its default runtime"
        traits = [name for name in ("rootless", "userns") if f"name={name}" in " ".join(security)]
        mode = f"{info.get('Name') or 'engine'} {info.get('ServerVersion', '?')}, {runtime}"
        return Found(
            ", ".join([mode, *traits]),
            f"cgroup{info.get('CgroupVersion', '?')} of the engine",
            tuple(_problems(version, info, self.runtime)),
            tuple(_notes(info, security, self.runtime)),
        )

    async def start(self, plan: Plan) -> None:
        """Make its container anew and start it."""
        try:
            async with asyncio.timeout(self._start_seconds):
                for _ in range(ATTEMPTS_MAX):
                    if await self._started(plan):
                        return
        except TimeoutError:
            raise SandboxFault(
                f"The sandbox cannot start: the engine took longer than {self._start_seconds:g} s.",
                kind="start",
            ) from None
        raise SandboxFault(
            "The sandbox cannot start: another process keeps removing its container.", kind="start"
        )

    async def admit(self, sandbox_id: str, call_id: str) -> str:  # noqa: ARG002
        """The journal is in a volume: whatever becomes of the container, it knows."""
        return "go"

    async def refuse(self, sandbox_id: str, call_id: str) -> bool:  # noqa: ARG002
        """Only the journal can."""
        return False

    async def connect(self, sandbox_id: str, *, agent: bool = False) -> DockerStream | None:  # noqa: ARG002
        """A relay in its container."""
        path = f"/containers/{self._name(sandbox_id)}/exec"
        body = {
            "Cmd": [*made.PYTHON, "relay", sandbox_id],
            "User": "0:0",
            "WorkingDir": "/",
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": False,
        }
        try:
            created = await self.api.json("POST", path, body)
            start = {"Detach": False, "Tty": False}
            return await self.api.hijack(f"/exec/{created['Id']}/start", start)
        except EngineFault as fault:
            if fault.status in (404, 409):  # no such container, or it does not run
                return None
            raise

    async def last_words(self, sandbox_id: str) -> str:
        """The end of the container's log."""
        path = f"/containers/{self._name(sandbox_id)}/logs"
        try:
            async with self.api.answered("GET", path, stdout=True, stderr=True, tail="10") as said:
                return words_of(await said.aread())
        except EngineFault:
            return ""

    async def running(self) -> set[str]:
        """The sandboxes that run."""
        return await self._containers(all=False)

    async def known(self) -> set[str]:
        """Those with a container or a volume."""
        volumes = await self.api.json("GET", "/volumes", filters=self._ours())
        found = {each["Labels"].get(made.SANDBOX) for each in volumes.get("Volumes") or ()}
        return (found | await self._containers(all=True)) - {None}

    async def outputs(self, sandbox_id: str) -> list[Output]:
        """From the engine's archive of a container that has ended."""
        path = f"/containers/{self._name(sandbox_id)}/archive"
        found: list[tuple[int, Output]] = []
        try:
            async with self.api.answered("GET", path, path=OUTPUTS) as response:
                async for entry, body in entries(response.aiter_bytes()):
                    async for _ in body:
                        pass
                    if entry.isfile():
                        inside = entry.name.partition("/")[2]
                        stamp = f"{entry.size}.{entry.mtime}"
                        found.append((int(entry.mtime), Output(inside, entry.size, stamp)))
        except EngineFault as fault:
            if fault.status != 404:
                raise
        return [output for _, output in sorted(found, key=lambda one: (one[0], one[1].path))]

    async def read_output(self, sandbox_id: str, path: str) -> AsyncIterator[bytes]:
        """The content of one of those."""
        where = f"/containers/{self._name(sandbox_id)}/archive"
        try:
            async with self.api.answered("GET", where, path=f"{OUTPUTS}/{path}") as response:
                async for entry, body in entries(response.aiter_bytes()):
                    if entry.isfile():
                        async for piece in body:
                            yield piece
                        return
        except EngineFault as fault:
            if fault.status != 404:
                raise
        raise SandboxFault(f"The output {path!r} is not there any more.", kind="gone")

    async def remove(self, sandbox_id: str) -> None:
        """Container first, then the volumes, which are free by then."""
        await self._removed(f"/containers/{self._name(sandbox_id)}", force=True, v=True)
        for part in made.VOLUMES:
            await self._removed(f"/volumes/{named(made.volume(self.owner, sandbox_id, part))}")

    async def close(self) -> None:
        """Give back connections."""
        await self.api.close()

    def _name(self, sandbox_id: str) -> str:
        return named(made.name(self.owner, sandbox_id))

    def _ours(self) -> dict[str, list[str]]:
        return {"label": [f"{made.OWNER}={self.owner}"]}

    async def _containers(self, **query: bool) -> set[str]:
        found = await self.api.json("GET", "/containers/json", filters=self._ours(), **query)
        return {each["Labels"][made.SANDBOX] for each in found}

    async def _started(self, plan: Plan) -> bool:
        """Whether it runs now; False: try again."""
        path = f"/containers/{self._name(plan.sandbox_id)}"
        body = made.container(plan, self.owner, self.image, self.runtime)
        name = made.name(self.owner, plan.sandbox_id)
        try:
            await self.api.json("POST", "/containers/create", body, name=name)
        except EngineFault as fault:
            if fault.status == 409:
                return await self._runs_already(path)
            if fault.status == 404:
                await self._pull()
                return False
            raise
        try:
            await self.api.json("PUT", f"{path}/archive", made.archive(), path=STATE)
            stream = await self.api.hijack(f"{path}/attach", stream=True, stdout=True, stderr=True)
            try:
                await self.api.json("POST", f"{path}/start")
                await self._reported(path, stream)
            finally:
                await stream.close()
        except EngineFault as fault:
            if fault.status == 404:  # removed by somebody who starts it too
                return False
            await self._forget(path)
            raise
        except SandboxFault:
            await self._forget(path)
            raise
        return True

    async def _runs_already(self, path: str) -> bool:
        """There is a container of its name: it runs, or makes way for one with the right limits."""
        try:
            state = (await self.api.json("GET", f"{path}/json"))["State"]
            if state.get("Running") and not state.get("Paused"):
                return True
            await self._removed(path, v=False)
        except EngineFault as fault:
            if fault.status not in (404, 409):
                raise
        return False

    async def _forget(self, path: str) -> None:
        with suppress(EngineFault):
            await self._removed(path, force=True)

    async def _reported(self, path: str, stream: DockerStream) -> None:
        """Wait for the supervisor's first line."""
        said = b""
        while b"\n" not in said:
            piece = await stream.read()
            if not piece:
                break
            said += piece
        with suppress(ValueError):
            report = json.loads(said.partition(b"\n")[0])
            if report.get("ok"):
                return
            raise SandboxFault(f"The sandbox cannot start: {report.get('error')}", kind="start")
        words = bytes(stream.words or said).decode("utf-8", "replace").strip().splitlines()
        state = (await self.api.json("GET", f"{path}/json"))["State"]
        why = (
            "\n".join(words[-WORDS_MAX:])
            or state.get("Error")
            or f"exit code {state.get('ExitCode')}"
        )
        raise SandboxFault(f"The sandbox cannot start: {why}", kind="start")

    async def _pull(self) -> None:
        """Fetch the image; SandboxFault when it cannot be had."""
        try:
            steps = self.api.lines("POST", "/images/create", fromImage=self.image)
            errors = [str(step["error"]) async for step in steps if "error" in step]
        except EngineFault as fault:
            errors = [fault.message]
        if errors:
            raise SandboxFault(
                f"The sandbox cannot start: the engine cannot get the image {self.image}: {errors[-1]}",
                kind="start",
            )

    async def _removed(self, path: str, **query: Any) -> None:
        """Gone, however long it takes the engine."""
        until = self._clock.monotonic() + REMOVE_SECONDS
        while True:
            try:
                await self.api.json("DELETE", path, **query)
            except EngineFault as fault:
                if fault.status == 404:
                    return
                # its removal is under way, or a volume is still held by a container that goes
                if (
                    fault.status != 409
                    or self._clock.monotonic() > until
                    or not query.get("force", True)
                ):
                    raise
                await self._clock.sleep(AGAIN_SECONDS)
            else:
                return


def _problems(version: tuple[int, int], info: dict[str, Any], runtime: str) -> list[str]:
    found = []
    if version < OLDEST:
        found.append(f"The engine speaks API {version[0]}.{version[1]}; 1.40 or newer is needed.")
    if info.get("OSType", "linux") != "linux":
        found.append("The engine runs no Linux containers.")
    runtimes = info.get("Runtimes") or {}
    if runtime and runtime not in runtimes:
        there = ", ".join(sorted(runtimes)) or "none"
        found.append(
            f"The engine has no runtime {runtime!r} (AGENTSTEAD_CONTAINER_RUNTIME); it has: {there}."
        )
    return found


def _notes(info: dict[str, Any], security: list[str], runtime: str) -> list[str]:
    found = []
    if not any("name=seccomp" in option for option in security) and not runtime.startswith("runsc"):
        found.append("The engine filters no system calls (seccomp is off).")
    for field, what in (
        ("MemoryLimit", "memory"), ("PidsLimit", "processes"), ("CpuCfsQuota", "processor time"),
    ):  # fmt: skip
        if info.get(field) is False:
            found.append(f"The engine cannot limit {what}; its host's control groups are why.")
    if not any(f"name={name}" in option for option in security for name in ("userns", "rootless")):
        found.append(
            "The engine maps no users: the supervisor inside containers is the engine host's root with few"
            " capabilities. A rootless engine, `userns-remap` or the runtime runsc is stronger."
        )
    return found
