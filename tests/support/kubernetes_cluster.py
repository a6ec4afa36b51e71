"""A Kubernetes cluster for tests: an API server on a loopback port, and one node that really runs containers.

It answers as the real one does (objects with uid and resourceVersion, `Status` bodies, watches that can be too
old, conflicts, the channel protocols of exec), so far as sandboxes need it. There is no scheduler and no
network; a pod of the tests runs at once, unless a test says what hinders it.
"""

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from tests.support.containers import PATH, Container

NAMESPACE = "agents"
CORE = f"/api/v1/namespaces/{NAMESPACE}"
RESTARTS_QUICK = 2
STDIN, STDOUT, STDERR, ERROR, CLOSE = 0, 1, 2, 3, 255


class Refused(Exception):
    """A `Status` that is a failure."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


@dataclass
class Node:
    """What the kubelet has of one pod."""

    pod: dict[str, Any]
    folder: Path
    containers: dict[str, Container] = field(default_factory=dict)
    restarts: dict[str, int] = field(default_factory=dict)
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    pause: Container | None = None
    """Holds the network that the containers of the pod share, where root makes them."""
    ready: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def network(self) -> Container | None:
        """Where the pod's containers go to."""
        async with self.ready:
            if self.pause is None and os.geteuid() == 0:
                self.pause = Container(["sleep", "infinity"], {"PATH": PATH}, {})
                await self.pause.start()
        return self.pause


class Cluster:
    """The API server and its node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        self.objects: dict[str, dict[str, dict[str, Any]]] = {
            "pods": {}, "configmaps": {}, "networkpolicies": {}, "sandboxes": {}, "runtimeclasses": {},
        }  # fmt: skip
        self.nodes: dict[str, Node] = {}
        self.log: list[tuple[str, str]] = []
        self.protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
        self.spoken: list[str] = []
        self.forbidden: set[str] = set()
        """`verb resource` that the account may not do."""
        self.has_sandboxes = False
        self.hindrance: dict[str, Any] = {}
        """What the status of new pods is instead of running."""
        self.start_words: list[str] = []
        """What containers run instead of what was asked."""
        self.expired_watches = 0
        self.conflicts = 0
        """So many patches find that somebody was faster."""
        self._version = count(100)
        self._history: list[tuple[int, str, Any]] = []
        self._watchers: list[tuple[str, asyncio.Queue[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.close_network()

    def close_network(self) -> None:
        """The policy that the docs ask for."""
        spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
        self.objects["networkpolicies"]["closed"] = {"metadata": {"name": "closed"}, "spec": spec}

    # --- the API

    def application(self) -> web.Application:
        """Every route."""
        app = web.Application(middlewares=[self._answered], client_max_size=4 << 20)
        app.router.add_get("/version", self._get_version)
        app.router.add_get("/apis/agents.x-k8s.io", self._get_group)
        app.router.add_get("/api/v1/namespaces/default/services/kubernetes", self._get_service)
        app.router.add_post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", self._review)
        app.router.add_get("/apis/node.k8s.io/v1/runtimeclasses/{name}", self._get_class)
        policies = f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/{{kind:networkpolicies}}"
        sandboxes = f"/apis/agents.x-k8s.io/v1beta1/namespaces/{NAMESPACE}/{{kind:sandboxes}}"
        for path in (f"{CORE}/{{kind:pods|configmaps}}", policies, sandboxes):
            app.router.add_get(path, self._list)
            app.router.add_post(path, self._create)
            app.router.add_get(f"{path}/{{name}}", self._get)
            app.router.add_patch(f"{path}/{{name}}", self._patch)
            app.router.add_delete(f"{path}/{{name}}", self._delete)
        app.router.add_get(f"{CORE}/pods/{{name}}/exec", self._exec)
        return app

    @web.middleware
    async def _answered(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.log.append((request.method, request.path))
        try:
            answer: web.StreamResponse = await handler(request)
        except Refused as refused:
            body = {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": str(refused), "reason": refused.reason, "code": refused.code,
            }  # fmt: skip
            return web.json_response(body, status=refused.code)
        return answer

    async def _get_version(self, _: web.Request) -> web.Response:
        return web.json_response({"major": "1", "minor": "33", "gitVersion": "v1.33.1"})

    async def _get_group(self, _: web.Request) -> web.Response:
        if not self.has_sandboxes:
            raise Refused(404, "NotFound", "the server could not find the requested resource")
        version = {"groupVersion": "agents.x-k8s.io/v1beta1", "version": "v1beta1"}
        return web.json_response(
            {"kind": "APIGroup", "name": "agents.x-k8s.io", "versions": [version], "preferredVersion": version}
        )  # fmt: skip

    async def _get_service(self, _: web.Request) -> web.Response:
        raise Refused(403, "Forbidden", 'services "kubernetes" is forbidden: no')

    async def _get_class(self, request: web.Request) -> web.Response:
        return web.json_response(self._found("runtimeclasses", request.match_info["name"]))

    async def _review(self, request: web.Request) -> web.Response:
        body = await request.json()
        about = body["spec"]["resourceAttributes"]
        what = f"{about['verb']} {about['resource']}"
        what += f"/{about['subresource']}" if about.get("subresource") else ""
        return web.json_response(
            {**body, "status": {"allowed": what not in self.forbidden}}, status=201
        )

    def _found(self, kind: str, name: str) -> dict[str, Any]:
        if name not in self.objects[kind]:
            raise Refused(404, "NotFound", f'{kind} "{name}" not found')
        return self.objects[kind][name]

    async def _get(self, request: web.Request) -> web.Response:
        return web.json_response(
            self._found(request.match_info["kind"], request.match_info["name"])
        )

    async def _list(self, request: web.Request) -> web.StreamResponse:
        kind, selector = request.match_info["kind"], request.query.get("labelSelector", "")
        if request.query.get("watch") == "true":
            return await self._watch(request, kind, selector)
        items = [one for one in self.objects[kind].values() if matches(one, selector)]
        meta = {"resourceVersion": str(next(self._version))}
        return web.json_response({"kind": "List", "metadata": meta, "items": items})

    async def _watch(self, request: web.Request, kind: str, selector: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        if self.expired_watches:
            self.expired_watches -= 1
            status = {
                "kind": "Status",
                "code": 410,
                "reason": "Expired",
                "message": "too old resource version",
            }
            await response.write(json.dumps({"type": "ERROR", "object": status}).encode() + b"\n")
            return response
        queue: asyncio.Queue[Any] = asyncio.Queue()
        since = int(request.query["resourceVersion"])
        for version, changed, change in self._history:
            if changed == kind and version > since:
                queue.put_nowait(change)
        self._watchers.append((kind, queue))
        ends = asyncio.get_running_loop().time() + float(request.query["timeoutSeconds"])
        try:
            while True:
                async with asyncio.timeout_at(ends):
                    change = await queue.get()
                if matches(change["object"], selector):
                    await response.write(json.dumps(change).encode() + b"\n")
        except (ConnectionError, TimeoutError):
            return response
        finally:
            self._watchers = [one for one in self._watchers if one[1] is not queue]

    def _changed(self, kind: str, change: str, one: dict[str, Any]) -> None:
        version = next(self._version)
        one["metadata"]["resourceVersion"] = str(version)
        event = {"type": change, "object": json.loads(json.dumps(one))}
        self._history.append((version, kind, event))
        for watched, queue in self._watchers:
            if watched == kind:
                queue.put_nowait(event)

    async def _create(self, request: web.Request) -> web.Response:
        kind, body = request.match_info["kind"], await request.json()
        return web.json_response(self.create(kind, body), status=201)

    def create(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """Take an object in."""
        name = body["metadata"]["name"]
        if not name.replace("-", "").isalnum() or name != name.lower() or len(name) > 253:
            raise Refused(
                422, "Invalid", f'{kind} "{name}" is invalid: metadata.name: Invalid value'
            )
        for label in (body["metadata"].get("labels") or {}).values():
            if len(label) > 63:
                raise Refused(422, "Invalid", f"metadata.labels: Invalid value: {label!r}")
        if name in self.objects[kind]:
            raise Refused(409, "AlreadyExists", f'{kind} "{name}" already exists')
        body["metadata"]["uid"] = os.urandom(16).hex()
        body["metadata"]["namespace"] = NAMESPACE
        self.objects[kind][name] = body
        self._changed(kind, "ADDED", body)
        if kind == "pods":
            self._run(body)
        elif kind == "sandboxes":
            template = body["spec"]["podTemplate"]
            meta = {
                **template["metadata"],
                "name": f"{name}-pod",
                "ownerReferences": [{"kind": "Sandbox", "name": name}],
            }
            self.create("pods", {"kind": "Pod", "metadata": meta, "spec": template["spec"]})
        return body

    async def _patch(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/merge-patch+json"
        kind, patch = request.match_info["kind"], await request.json()
        one = self._found(kind, request.match_info["name"])
        wanted = patch.get("metadata", {}).get("resourceVersion")
        if self.conflicts:
            self.conflicts -= 1
            self._changed(kind, "MODIFIED", one)
        if wanted not in (None, one["metadata"]["resourceVersion"]):
            raise Refused(409, "Conflict", "the object has been modified; please apply your changes to the latest version")  # fmt: skip
        data = one.setdefault("data", {})
        for key, value in (patch.get("data") or {}).items():
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        self._changed(kind, "MODIFIED", one)
        return web.json_response(one)

    async def _delete(self, request: web.Request) -> web.Response:
        kind, name = request.match_info["kind"], request.match_info["name"]
        one = self._found(kind, name)
        if kind == "pods":
            one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self._changed("pods", "MODIFIED", one)
            self._later(self.end(name))
        else:
            del self.objects[kind][name]
            self._changed(kind, "DELETED", one)
        if kind == "sandboxes" and f"{name}-pod" in self.nodes:
            self._later(self.end(f"{name}-pod"))
        return web.json_response(one)

    def _later(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the node

    def _run(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        node = Node(pod, self.folder / pod["metadata"]["uid"])
        self.nodes[name] = node
        if self.hindrance:
            pod["status"] = json.loads(json.dumps(self.hindrance))
            self._changed("pods", "MODIFIED", pod)
            return
        pod["status"] = {"phase": "Pending", "containerStatuses": []}
        for volume in pod["spec"]["volumes"]:
            folder = node.folder / volume["name"]
            folder.mkdir(parents=True)
            folder.chmod(0o777)
            if "configMap" in volume:
                held = self._found("configmaps", volume["configMap"]["name"])
                for key, text in held["binaryData"].items():
                    (folder / key).write_bytes(base64.b64decode(text))
                    (folder / key).chmod(0o644)
        node.folder.chmod(0o755)
        for spec in pod["spec"]["containers"]:
            node.tasks.append(asyncio.create_task(self._keep_running(node, spec)))

    async def _keep_running(self, node: Node, spec: dict[str, Any]) -> None:
        """A container, started again as `OnFailure` says."""
        name = spec["name"]
        while True:
            container = node.containers[name] = contained(node, spec)
            container.network_of = await node.network()
            container.command = self.start_words or container.command
            await container.start()
            self._tell(node, name, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
            assert container.process is not None
            assert container.process.stdout is not None
            assert container.process.stderr is not None
            streams = (container.process.stdout, container.process.stderr)
            said = b"".join(await asyncio.gather(*(stream.read() for stream in streams)))
            code = await container.wait()
            self._tell(node, name, {"terminated": {"exitCode": code}})
            if code == 0:
                return
            node.restarts[name] = node.restarts.get(name, 0) + 1
            if node.restarts[name] > RESTARTS_QUICK:
                waiting = {
                    "reason": "CrashLoopBackOff",
                    "message": "back-off restarting failed container",
                }
                assert spec["terminationMessagePolicy"] == "FallbackToLogsOnError"
                last = {"terminated": {"exitCode": code, "message": said.decode()[-2048:]}}
                self._tell(node, name, {"waiting": waiting}, last)
                await asyncio.sleep(5)

    def _tell(
        self, node: Node, name: str, state: dict[str, Any], last: dict[str, Any] | None = None
    ) -> None:
        status = node.pod["status"]
        others = [one for one in status["containerStatuses"] if one["name"] != name]
        mine = {
            "name": name,
            "state": state,
            "lastState": last or {},
            "restartCount": node.restarts.get(name, 0),
        }
        status["containerStatuses"] = [*others, mine]
        states = [one["state"] for one in status["containerStatuses"]]
        status["phase"] = "Running"
        if len(states) == len(node.pod["spec"]["containers"]) and all(
            one.get("terminated", {}).get("exitCode") == 0 for one in states
        ):
            status["phase"] = "Succeeded"
        if node.pod["metadata"]["name"] in self.objects["pods"]:
            self._changed("pods", "MODIFIED", node.pod)

    async def end(self, name: str) -> None:
        """End a pod and forget it."""
        node = self.nodes.pop(name, None)
        if node is None:
            return
        for task in node.tasks:
            task.cancel()
        await asyncio.gather(*node.tasks, return_exceptions=True)
        for container in [*node.containers.values(), *([node.pause] if node.pause else [])]:
            container.kill()
            if container.process is not None:
                await container.wait()
        pod = self.objects["pods"].pop(name, None)
        if pod is not None:
            self._changed("pods", "DELETED", pod)
        await asyncio.to_thread(shutil.rmtree, node.folder, ignore_errors=True)

    async def _exec(self, request: web.Request) -> web.WebSocketResponse:
        name, container = request.match_info["name"], request.query["container"]
        self._found("pods", name)
        held = self.nodes[name].containers.get(container)
        if held is None or not held.running:
            raise Refused(500, "InternalError", f"container {container} is not running")
        process = await held.exec(request.query.getall("command"))
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        self.spoken.append(socket.ws_protocol or "")
        feeding = asyncio.create_task(fed(process, socket))
        try:
            await asyncio.gather(told(process, socket, STDOUT), told(process, socket, STDERR))
            code = await process.wait()
            status: dict[str, Any] = {"metadata": {}, "status": "Success"}
            if code:
                causes = [{"reason": "ExitCode", "message": str(code)}]
                status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}, "message": f"command terminated with exit code {code}"}  # fmt: skip
            with suppress(ConnectionError):
                await socket.send_bytes(bytes([ERROR]) + json.dumps(status).encode())
                await socket.close()
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()
        return socket

    async def close(self) -> None:
        """End whatever runs."""
        for name in list(self.nodes):
            await self.end(name)
        await asyncio.gather(*self._tasks, return_exceptions=True)


def contained(node: Node, spec: Mapping[str, Any]) -> Container:
    """A container of the pod's spec."""
    mounts, read_only = {}, set()
    for mount in spec["volumeMounts"]:
        source = node.folder / mount["name"]
        mounts[mount["mountPath"]] = source / mount["subPath"] if "subPath" in mount else source
        if mount.get("readOnly"):
            read_only.add(mount["mountPath"])
    env = {"PATH": PATH, **{one["name"]: one["value"] for one in spec["env"]}}
    user = spec["securityContext"]["runAsUser"]
    return Container(spec["command"], env, mounts, frozenset(read_only), uid=user)


def matches(one: Mapping[str, Any], selector: str) -> bool:
    """Whether the labels are as the selector says."""
    labels = one["metadata"].get("labels") or {}
    pairs = [pair.partition("=") for pair in selector.split(",") if pair]
    return all(labels.get(key) == value for key, _, value in pairs)


async def fed(process: asyncio.subprocess.Process, socket: web.WebSocketResponse) -> None:
    """What comes on the channel of standard input."""
    assert process.stdin is not None
    with suppress(ConnectionError):
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            if message.data[0] == STDIN:
                process.stdin.write(message.data[1:])
                await process.stdin.drain()
            elif message.data[0] == CLOSE and socket.ws_protocol == "v5.channel.k8s.io":
                break
    process.stdin.close()


async def told(
    process: asyncio.subprocess.Process, socket: web.WebSocketResponse, channel: int
) -> None:
    """What the process says, on its channel."""
    source = process.stdout if channel == STDOUT else process.stderr
    assert source is not None
    with suppress(ConnectionError):
        while piece := await source.read(1 << 15):
            await socket.send_bytes(bytes([channel]) + piece)


@asynccontextmanager
async def kubernetes_cluster() -> AsyncIterator[tuple[Cluster, str]]:
    """A cluster for as long as the block runs, and its address."""
    folder = Path(tempfile.mkdtemp(prefix="agentstead-kube-"))
    cluster = Cluster(folder)
    runner = web.AppRunner(cluster.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield cluster, f"http://127.0.0.1:{port}"
    finally:
        await cluster.close()
        await runner.cleanup()
        shutil.rmtree(folder)
