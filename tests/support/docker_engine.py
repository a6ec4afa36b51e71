"""A Docker engine for tests: its HTTP API on a unix socket, and containers that really run (`containers.py`).

It answers as the real one does (status codes, bodies of errors, hijacked connections, multiplexed
streams, archives), so far as that is known from its published API; the `docker` program, where there is
one, is the judge of it (`tests/sandbox/engines/test_docker_engine.py`).
"""

import asyncio
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import h11

from tests.support.containers import PATH, Container, put

API_VERSION = "1.44"
STDIN, STDOUT, STDERR = 0, 1, 2


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class Made:
    """A container as the engine knows it."""

    id: str
    name: str
    body: Mapping[str, Any]
    container: Container
    volumes: list[str]
    state: str = "created"
    error: str = ""
    watchers: list[asyncio.StreamWriter] = field(default_factory=list)
    said: bytearray = field(default_factory=bytearray)
    pump: "asyncio.Task[None] | None" = None


@dataclass
class Request:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def filters(self) -> Mapping[str, Any]:
        return json.loads(self.query.get("filters", "{}"))


@dataclass
class Answer:
    """What is answered; `take` gets the connection when it is handed over."""

    status: int = 200
    body: Any = None
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    take: Callable[[asyncio.StreamReader, asyncio.StreamWriter, bytes], Awaitable[None]] | None = (
        None
    )


class DockerEngine:
    """The engine."""

    def __init__(self, folder: Path, images: set[str] = frozenset({"agent:1"})) -> None:  # type: ignore[assignment]
        self.folder = folder
        self.socket = folder / "docker.sock"
        self.images = set(images)
        self.pullable: set[str] = set()
        self.info: dict[str, Any] = {
            "Name": "engine", "ServerVersion": "28.2.2", "OSType": "linux", "CgroupVersion": "2",
            "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns", "name=userns"],
            "Runtimes": {"runc": {}, "runsc": {}}, "DefaultRuntime": "runc",
            "MemoryLimit": True, "PidsLimit": True, "CpuCfsQuota": True,
        }  # fmt: skip
        self.made: dict[str, Made] = {}
        self.volumes: dict[str, dict[str, str]] = {}
        self.execs: dict[str, tuple[Made, Mapping[str, Any]]] = {}
        self.log: list[tuple[str, str]] = []
        self.start_words: list[str] = []
        """What containers run instead of what was asked."""
        self.broken_execs = 0
        """So many execs fail as they do when the container has no process left to give."""
        self._numbers = count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    # --- connections

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until it is closed or handed over."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # cancelled: the engine is closed
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        connection = h11.Connection(h11.SERVER)
        head: h11.Request | None = None
        body = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                data = await reader.read(1 << 16)
                connection.receive_data(data)
                if not data and head is None:
                    return False
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif event is h11.PAUSED or isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        assert head is not None
        url = urlsplit(head.target.decode())
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        headers = {name.decode().lower(): value.decode() for name, value in head.headers}
        path = re.sub(r"^/v[0-9.]+", "", url.path)
        request = Request(head.method.decode(), path, query, headers, body)
        self.log.append((request.method, path))
        try:
            answer = await self.answer(request)
        except Refused as refused:
            answer = Answer(refused.status, {"message": str(refused)})
        if answer.take is not None:
            rest, _ = connection.trailing_data
            await self._hand_over(request, answer, reader, writer, rest)
            return False
        self._write(request, answer, writer)
        await writer.drain()
        return True

    def _write(self, request: Request, answer: Answer, writer: asyncio.StreamWriter) -> None:
        content = answer.raw
        if content is None:
            content = b"" if answer.body is None else json.dumps(answer.body).encode()
        lines = [f"HTTP/1.1 {answer.status} x", f"Api-Version: {API_VERSION}", "Server: Docker/28.2.2 (linux)"]  # fmt: skip
        if answer.status not in (204, 304):
            lines += [f"Content-Length: {len(content)}", "Content-Type: application/json"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        if request.method != "HEAD" and answer.status not in (204, 304):
            writer.write(content)

    async def _hand_over(
        self,
        request: Request,
        answer: Answer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        rest: bytes,
    ) -> None:
        assert answer.take is not None
        if request.headers.get("upgrade") == "tcp":
            head = "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        else:
            head = "HTTP/1.1 200 OK\r\n"
        head += "Content-Type: application/vnd.docker.multiplexed-stream\r\n\r\n"
        writer.write(head.encode())
        await answer.take(reader, writer, rest)

    # --- routes

    async def answer(self, request: Request) -> Answer:
        """Find who answers."""
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, request.path)
            if match and request.method == method:
                return await handler(self, request, *map(unquote, match.groups()))
        raise Refused(404, "page not found")

    async def ping(self, _: Request) -> Answer:
        return Answer(raw=b"OK")

    async def get_info(self, _: Request) -> Answer:
        return Answer(body=self.info)

    async def version(self, _: Request) -> Answer:
        return Answer(
            body={"Version": "28.2.2", "ApiVersion": API_VERSION, "MinAPIVersion": "1.24"}
        )

    async def pull(self, request: Request) -> Answer:
        image = request.query["fromImage"]
        if image not in self.pullable:
            steps = [{"status": f"Pulling from {image}"}, {"error": f"manifest for {image} not found", "errorDetail": {}}]  # fmt: skip
        else:
            self.images.add(image)
            steps = [{"status": "Pull complete", "id": "1"}]
        return Answer(raw=b"".join(json.dumps(step).encode() + b"\r\n" for step in steps))

    async def create(self, request: Request) -> Answer:
        body, name = request.json, request.query.get("name", f"c{next(self._numbers)}")
        for made in self.made.values():
            if made.name == name:
                raise Refused(409, f'Conflict. The container name "/{name}" is already in use by container "{made.id}". You have to remove (or rename) that container to be able to reuse that name.')  # fmt: skip
        host = body.get("HostConfig") or {}
        if body["Image"] not in self.images:
            raise Refused(404, f"No such image: {body['Image']}")
        if host.get("Runtime") and host["Runtime"] not in self.info["Runtimes"]:
            raise Refused(400, f"unknown or invalid runtime name: {host['Runtime']}")
        mounts, volumes = {}, []
        for mount in host.get("Mounts") or ():
            assert mount["Type"] == "volume"
            labels = mount.get("VolumeOptions", {}).get("Labels", {})
            self.volumes.setdefault(mount["Source"], labels)
            (self.folder / "volumes" / mount["Source"]).mkdir(parents=True, exist_ok=True)
            mounts[mount["Target"]] = self.folder / "volumes" / mount["Source"]
            volumes.append(mount["Source"])
        env = dict(pair.split("=", 1) for pair in ["PATH=" + PATH, *(body.get("Env") or ())])
        container = Container(
            self.start_words or [*(body.get("Entrypoint") or ()), *(body.get("Cmd") or ())],
            env,
            mounts,
            tmpfs=tuple(host.get("Tmpfs") or ()),
            capabilities=tuple(host.get("CapAdd") or ()),
        )
        made = Made(os.urandom(32).hex(), name, body, container, volumes)
        self.made[made.id] = made
        return Answer(201, {"Id": made.id, "Warnings": []})

    def find(self, key: str) -> Made:
        """By id, the beginning of one, or name."""
        for made in self.made.values():
            if key == made.name or made.id.startswith(key):
                return made
        raise Refused(404, f"No such container: {key}")

    async def inspect(self, _: Request, key: str) -> Answer:
        made = self.find(key)
        state = {
            "Status": made.state, "Running": made.state == "running", "Paused": False, "Restarting": False,
            "OOMKilled": False, "Dead": False, "Pid": made.container.pid, "Error": made.error,
            "ExitCode": made.container.exit_code,
        }  # fmt: skip
        body = {"Id": made.id, "Name": f"/{made.name}", "State": state, "Config": dict(made.body), "HostConfig": made.body.get("HostConfig", {}), "Mounts": [], "NetworkSettings": {}}  # fmt: skip
        return Answer(body=body)

    async def listed(self, request: Request) -> Answer:
        everything = request.query.get("all", "").lower() in ("1", "true")
        found = [
            {
                "Id": made.id, "Names": [f"/{made.name}"], "Image": made.body["Image"], "Labels": made.body.get("Labels") or {},
                "State": made.state, "Status": made.state, "Created": 0, "Ports": [], "Command": "", "HostConfig": {},
            }
            for made in self.made.values()
            if (everything or made.state == "running")
            and _labelled(request.filters, made.body.get("Labels") or {})
        ]  # fmt: skip
        return Answer(body=found)

    async def start(self, _: Request, key: str) -> Answer:
        made = self.find(key)
        if made.state == "running":
            return Answer(304)
        try:
            await made.container.start()
        except OSError as error:
            made.error = f"failed to create task for container: OCI runtime create failed: {error}"
            made.container.exit_code = 127
            raise Refused(400, made.error) from None
        made.state = "running"
        made.pump = asyncio.create_task(self._watch(made))
        return Answer(204)

    async def _watch(self, made: Made) -> None:
        process = made.container.process
        assert process is not None
        assert process.stdout is not None
        assert process.stderr is not None
        await asyncio.gather(
            self._tell(made, STDOUT, process.stdout), self._tell(made, STDERR, process.stderr)
        )
        await made.container.wait()
        made.state = "exited"
        for watcher in made.watchers:
            watcher.close()

    async def _tell(self, made: Made, kind: int, source: asyncio.StreamReader) -> None:
        while piece := await source.read(1 << 16):
            made.said += framed(kind, piece)
            for watcher in made.watchers:
                watcher.write(framed(kind, piece))

    async def attach(self, _: Request, key: str) -> Answer:
        made = self.find(key)

        async def take(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _: bytes
        ) -> None:
            made.watchers.append(writer)
            await reader.read()
            made.watchers.remove(writer)

        return Answer(take=take)

    async def logs(self, _: Request, key: str) -> Answer:
        return Answer(raw=bytes(self.find(key).said))

    async def kill(self, _: Request, key: str) -> Answer:
        made = self.find(key)
        if made.state != "running":
            raise Refused(409, f"cannot kill container: {key}: container {made.id} is not running")
        await self._end(made)
        return Answer(204)

    async def _end(self, made: Made) -> None:
        made.container.kill()
        if made.pump is not None:
            await made.pump

    async def remove(self, request: Request, key: str) -> Answer:
        made = self.find(key)
        if made.state == "running":
            if request.query.get("force") not in ("1", "true"):
                raise Refused(409, f'cannot remove container "/{made.name}": container is running: stop the container before removing or force remove')  # fmt: skip
            await self._end(made)
        del self.made[made.id]
        return Answer(204)

    async def create_exec(self, request: Request, key: str) -> Answer:
        made = self.find(key)
        if made.state != "running":
            raise Refused(409, f"container {made.id} is not running")
        number = os.urandom(32).hex()
        self.execs[number] = (made, request.json)
        return Answer(201, {"Id": number})

    async def start_exec(self, request: Request, number: str) -> Answer:
        if number not in self.execs:
            raise Refused(404, f"No such exec instance: {number}")
        made, body = self.execs[number]
        if made.state != "running":
            raise Refused(409, f"container {made.id} is not running")
        if self.broken_execs:
            self.broken_execs -= 1
            raise Refused(400, "OCI runtime exec failed: exec failed: unable to start container process: resource temporarily unavailable")  # fmt: skip
        if request.json.get("Detach"):
            raise Refused(400, "this engine has no detached execs")
        process = await made.container.exec(body["Cmd"])

        async def take(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes
        ) -> None:
            await joined(process, reader, writer, rest if body.get("AttachStdin") else None)

        return Answer(take=take)

    async def inspect_exec(self, _: Request, number: str) -> Answer:
        if number not in self.execs:
            raise Refused(404, f"No such exec instance: {number}")
        return Answer(body={"ID": number, "Running": False, "ExitCode": 0})

    async def put_archive(self, request: Request, key: str) -> Answer:
        made, path = self.find(key), request.query["path"]
        place = made.container.local(path)
        if place is None:
            raise Refused(403, "container rootfs is marked read-only")
        if not place[0].is_dir():
            raise Refused(404, f"Could not find the file {path} in container {key}")
        put(made.container, path, io.BytesIO(request.body))
        return Answer(200)

    async def get_archive(self, request: Request, key: str) -> Answer:
        made, path = self.find(key), request.query["path"]
        place = made.container.local(path)
        if place is None or not place[0].exists():
            raise Refused(404, f"Could not find the file {path} in container {key}")
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(place[0], place[0].name)
        return Answer(raw=packed.getvalue(), headers={"X-Docker-Container-Path-Stat": "e30="})

    async def list_volumes(self, request: Request) -> Answer:
        found = [
            {"Name": name, "Driver": "local", "Labels": labels or None, "Scope": "local", "Mountpoint": "", "Options": None}
            for name, labels in self.volumes.items()
            if _labelled(request.filters, labels)
        ]  # fmt: skip
        return Answer(body={"Volumes": found or None, "Warnings": None})

    async def remove_volume(self, _: Request, name: str) -> Answer:
        if name not in self.volumes:
            raise Refused(404, f"get {name}: no such volume")
        users = [made.id for made in self.made.values() if name in made.volumes]
        if users:
            raise Refused(409, f"remove {name}: volume is in use - [{users[0]}]")
        del self.volumes[name]
        await asyncio.to_thread(shutil.rmtree, self.folder / "volumes" / name)
        return Answer(204)

    async def close(self) -> None:
        """End whatever runs."""
        for made in list(self.made.values()):
            await self._end(made)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _labelled(filters: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    wanted = filters.get("label") or ()
    return all(labels.get(pair.partition("=")[0]) == pair.partition("=")[2] for pair in wanted)


def framed(kind: int, piece: bytes) -> bytes:
    """A piece of a multiplexed stream."""
    return bytes([kind, 0, 0, 0]) + len(piece).to_bytes(4, "big") + piece


async def joined(
    process: asyncio.subprocess.Process,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    first: bytes | None,
) -> None:
    """Join a process's streams to a connection, until it ends or nobody listens."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None

    async def feed() -> None:
        assert process.stdin is not None
        data = first
        with suppress(ConnectionError):
            while data is not None:
                process.stdin.write(data)
                await process.stdin.drain()
                data = await reader.read(1 << 16) or None
        process.stdin.close()

    async def tell(kind: int, source: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(1 << 16):
                writer.write(framed(kind, piece))
                await writer.drain()

    feeding = asyncio.create_task(feed())
    try:
        await asyncio.gather(tell(STDOUT, process.stdout), tell(STDERR, process.stderr))
        await process.wait()
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        if process.returncode is None:
            process.stdin.close()
            await process.wait()


C = r"/containers/([^/]+)"
ROUTES: tuple[tuple[str, str, Callable[..., Awaitable[Answer]]], ...] = (
    ("GET", "/_ping", DockerEngine.ping),
    ("HEAD", "/_ping", DockerEngine.ping),
    ("GET", "/info", DockerEngine.get_info),
    ("GET", "/version", DockerEngine.version),
    ("POST", "/images/create", DockerEngine.pull),
    ("POST", "/containers/create", DockerEngine.create),
    ("GET", "/containers/json", DockerEngine.listed),
    ("GET", f"{C}/json", DockerEngine.inspect),
    ("POST", f"{C}/start", DockerEngine.start),
    ("POST", f"{C}/attach", DockerEngine.attach),
    ("GET", f"{C}/logs", DockerEngine.logs),
    ("POST", f"{C}/kill", DockerEngine.kill),
    ("DELETE", C, DockerEngine.remove),
    ("POST", f"{C}/exec", DockerEngine.create_exec),
    ("POST", r"/exec/([^/]+)/start", DockerEngine.start_exec),
    ("GET", r"/exec/([^/]+)/json", DockerEngine.inspect_exec),
    ("PUT", f"{C}/archive", DockerEngine.put_archive),
    ("GET", f"{C}/archive", DockerEngine.get_archive),
    ("HEAD", f"{C}/archive", DockerEngine.get_archive),
    ("GET", "/volumes", DockerEngine.list_volumes),
    ("DELETE", r"/volumes/([^/]+)", DockerEngine.remove_volume),
)


@asynccontextmanager
async def docker_engine() -> AsyncIterator[DockerEngine]:
    """An engine for as long as the block runs; nothing of it is left afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="agentstead-docker-"))
    engine = DockerEngine(folder)
    server = await asyncio.start_unix_server(engine.serve, engine.socket)
    try:
        yield engine
    finally:
        server.close()
        await engine.close()
        shutil.rmtree(folder)
