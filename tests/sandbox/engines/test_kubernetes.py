"""Sandboxes on Kubernetes: what the API is asked for, what it refuses, and what becomes of calls."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.hands import EngineSandbox
from agentstead.sandbox.engines.kubernetes import pod as made
from agentstead.sandbox.engines.kubernetes.api import KubernetesApi
from agentstead.sandbox.engines.kubernetes.ledger import Ledger
from agentstead.sandbox.engines.kubernetes.survey import NEEDED, SANDBOX_NEEDED
from agentstead.sandbox.sandbox import Limits, Mount, SandboxSpec, Upload
from tests.support.engines import OnKubernetes, on_kubernetes
from tests.support.kubernetes_cluster import NAMESPACE
from tests.support.sandboxes import SPEC, text

ID = "sesn_01Engine"


@pytest.fixture
async def kubernetes() -> AsyncIterator[OnKubernetes]:
    async with on_kubernetes() as subject:
        yield subject


async def bash(
    kubernetes: OnKubernetes, call_id: str, command: str, spec: SandboxSpec = SPEC
) -> str:
    outcome = await kubernetes.newest().call(ID, spec, call_id, "bash", {"command": command})
    return text(outcome)


async def test_the_pod_has_every_limit_and_no_privilege(kubernetes: OnKubernetes) -> None:
    limits = Limits(memory_bytes=300 << 20, processes_max=40, cpus=0.5, disk_bytes=1 << 30)
    sandbox = kubernetes.another(runtime_class="gvisor")
    said = await sandbox.call(
        ID, SandboxSpec(limits), "call_1", "bash", {"command": "id -u; ulimit -u; ls /agentstead"}
    )
    assert text(said) == f"{made.uid(ID)}\n40\nlib.pyz"
    pod = kubernetes.node(ID).pod
    spec = pod["spec"]
    assert spec["runtimeClassName"] == "gvisor"
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    for container in spec["containers"]:
        held = container["securityContext"]
        assert held["allowPrivilegeEscalation"] is False
        assert held["readOnlyRootFilesystem"] is True
        assert held["runAsNonRoot"] is True
        assert held["capabilities"] == {"drop": ["ALL"]}
        assert "ports" not in container
    agent = {one["name"]: one for one in spec["containers"]}["agent"]
    assert agent["resources"]["limits"] == {
        "cpu": "500m",
        "memory": str(300 << 20),
        "ephemeral-storage": str(1 << 30),
    }
    mounted = {one["name"]: one.get("readOnly", False) for one in agent["volumeMounts"]}
    assert "state" not in mounted
    assert [name for name, read_only in mounted.items() if read_only] == [
        "meet", "lib", "uploads", "skills",
    ]  # fmt: skip
    sizes = [one["emptyDir"]["sizeLimit"] for one in spec["volumes"] if "emptyDir" in one]
    assert all(sizes)
    assert not any("hostPath" in one for one in spec["volumes"])
    assert pod["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "agentstead",
        "agentstead/owner": "test",
        "agentstead/sandbox": made.digest(ID),
    }
    assert kubernetes.cluster.spoken[0] == "v5.channel.k8s.io"


async def test_a_pod_that_is_lost_takes_its_calls_and_none_is_run_again(
    kubernetes: OnKubernetes,
) -> None:
    assert await bash(kubernetes, "call_1", "echo ran >> kept; echo ok") == "ok"
    waiting = asyncio.create_task(bash(kubernetes, "call_2", "sleep 30"))
    await asyncio.sleep(0.3)
    await kubernetes.cluster.end(kubernetes.node(ID).pod["metadata"]["name"])  # as a node dies
    with pytest.raises(SandboxFault) as fault:
        await waiting
    assert fault.value.kind == "unknown"
    for call_id in ("call_1", "call_2"):
        with pytest.raises(SandboxFault) as fault:
            await bash(kubernetes, call_id, "echo again")
        assert fault.value.kind == "unknown"
    assert await bash(kubernetes, "call_3", "ls") == "(no output)"
    other = kubernetes.another()  # another worker, which has only the cluster to ask
    with pytest.raises(SandboxFault) as fault:
        await other.call(ID, SPEC, "call_1", "bash", {"command": "echo again"})
    assert fault.value.kind == "unknown"
    assert text(await other.call(ID, SPEC, "call_3", "bash", {"command": "x"})) == "(no output)"


async def test_files_go_in_and_come_out(kubernetes: OnKubernetes, tmp_path: Path) -> None:
    (tmp_path / "skill").mkdir()
    (tmp_path / "skill" / "SKILL.md").write_text("how")
    body = tmp_path / "blob_1"
    body.write_bytes(b"x" * 400_000)
    spec = SandboxSpec(
        SPEC.limits,
        (Mount(str(tmp_path / "skill"), "/mnt/skills/one"),),
        uploads=(Upload(str(body), "data/big.bin"),),
    )
    command = (
        "cat /mnt/skills/one/SKILL.md; wc -c < /mnt/session/uploads/data/big.bin;"
        " touch /mnt/skills/x /mnt/session/uploads/x 2>&1; umask 077;"
        " seq 200000 > /mnt/session/outputs/o.txt"
    )
    said = await bash(kubernetes, "call_1", command, spec)
    assert said.startswith("how400000\n")
    assert said.count("Read-only file system") == 2
    sandbox = kubernetes.newest()
    (output,) = await sandbox.outputs(ID)
    found = b"".join([piece async for piece in sandbox.read_output(ID, output.path)])
    assert len(found) == output.size_bytes == 1_288_895


async def test_an_idle_sandbox_ends_for_good_and_its_files_with_it() -> None:
    async with on_kubernetes(idle_seconds=0.5) as kubernetes:
        await bash(kubernetes, "call_1", "echo kept > a; echo out > /mnt/session/outputs/o.txt")
        async with asyncio.timeout(10):
            while kubernetes.node(ID).pod["status"]["phase"] != "Succeeded":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await kubernetes.newest().outputs(ID) == []
        assert kubernetes.node(ID).restarts == {}
        assert await bash(kubernetes, "call_2", "ls") == "(no output)"


async def test_a_namespace_with_an_open_network_is_refused(kubernetes: OnKubernetes) -> None:
    policies = kubernetes.cluster.objects["networkpolicies"]
    opened = {"podSelector": {"matchLabels": {"a": "b"}}, "policyTypes": ["Egress"], "egress": [{}]}
    for wrong in (
        {},
        {"closed": policies["closed"], "open": {"metadata": {"name": "open"}, "spec": opened}},
    ):
        kubernetes.cluster.objects["networkpolicies"] = dict(wrong)
        with pytest.raises(SandboxFault, match="unfiltered network") as fault:
            await bash(kubernetes, "call_1", "true")
        assert fault.value.kind == "start"
        probe = await kubernetes.newest().probe()
        assert not probe.ok
        assert "deploy/kubernetes/namespace.yaml" in probe.problems[0]
    assert kubernetes.cluster.objects["pods"] == {}


async def test_a_policy_that_nobody_enforces_is_found_out(kubernetes: OnKubernetes) -> None:
    """The probe's own container has no network here, so what it finds open is a listener inside."""
    sandbox = kubernetes.another()
    look = sandbox.engine.look

    async def with_an_open_door() -> Any:
        found = await look()
        return type(found)(found.mode, found.limits, closed=(("127.0.0.1", 3128),))

    sandbox.engine.look = with_an_open_door  # type: ignore[method-assign]
    probe = await sandbox.probe()
    assert not probe.ok
    assert "the network is open: 127.0.0.1:3128 can be reached" in probe.problems[0]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"phase": "Pending", "containerStatuses": [{"name": "agent", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]},
         "container agent: ImagePullBackOff: Back-off pulling image"),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource"}, "its pod ended: Evicted The node"),
        ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]},
         "within 0.3 s: 0/3 nodes are available"),
    ],
)  # fmt: skip
async def test_a_pod_that_does_not_start_says_why(status: Any, said: str) -> None:
    async with on_kubernetes(start_seconds=0.3) as kubernetes:
        kubernetes.cluster.hindrance = status
        with pytest.raises(SandboxFault, match=said) as fault:
            await bash(kubernetes, "call_1", "true")
        assert fault.value.kind == "start"
        assert kubernetes.cluster.objects["pods"] == {}


async def test_an_image_that_cannot_run_it_says_so(kubernetes: OnKubernetes) -> None:
    kubernetes.another(late_seconds=2.0)
    kubernetes.cluster.start_words = ["sh", "-c", "echo no module named tomllib >&2; exit 1"]
    with pytest.raises(SandboxFault, match="no module named tomllib"):
        await bash(kubernetes, "call_1", "true")


async def test_a_watch_that_is_too_old_is_begun_anew(kubernetes: OnKubernetes) -> None:
    kubernetes.cluster.expired_watches = 2
    kubernetes.cluster.protocols = ("v4.channel.k8s.io",)
    assert await bash(kubernetes, "call_1", "echo ok") == "ok"
    assert kubernetes.cluster.spoken[0] == "v4.channel.k8s.io"


async def test_a_sandbox_resource_is_made_where_asked_for(kubernetes: OnKubernetes) -> None:
    probe = await kubernetes.another(sandbox_resource=True).probe()
    assert "The cluster has no agents.x-k8s.io" in probe.problems[0]
    kubernetes.cluster.has_sandboxes = True
    sandbox = kubernetes.newest()
    assert await bash(kubernetes, "call_1", "echo ok") == "ok"
    (one,) = kubernetes.cluster.objects["sandboxes"].values()
    assert one["kind"] == "Sandbox"
    assert one["apiVersion"] == "agents.x-k8s.io/v1beta1"
    assert kubernetes.node(ID).pod["metadata"]["ownerReferences"][0]["kind"] == "Sandbox"
    await sandbox.destroy(ID)
    assert kubernetes.cluster.objects["sandboxes"] == {}
    assert kubernetes.cluster.objects["pods"] == {}


async def test_what_the_account_lacks_is_named(kubernetes: OnKubernetes) -> None:
    kubernetes.cluster.forbidden = {"create pods/exec", "patch configmaps"}
    probe = await kubernetes.another().probe()
    assert not probe.ok
    assert "create pods/exec, patch configmaps" in probe.problems[0]
    kubernetes.cluster.forbidden = set()
    probe = await kubernetes.another(runtime_class="gvisor").probe()
    assert "no RuntimeClass 'gvisor'" in probe.problems[0]


async def test_the_ledger_has_one_winner_and_forgets_the_oldest(kubernetes: OnKubernetes) -> None:
    api = KubernetesApi(host=kubernetes.address)
    body = {"metadata": {"name": "ledger"}, "data": {}}
    ledgers = [Ledger(api, f"/api/v1/namespaces/{NAMESPACE}/configmaps", body) for _ in range(2)]
    try:
        kubernetes.cluster.conflicts = 1
        assert await ledgers[0].note("call_1", "pod-a") == "pod-a"
        won = await asyncio.gather(
            *(one.note("call_2", f"pod-{n}") for n, one in enumerate(ledgers))
        )
        assert won[0] == won[1]
        assert await ledgers[1].note("call_1", "refused") == "pod-a"
        assert await ledgers[1].note("not/a key " * 30, "pod-b") == "pod-b"
        held = kubernetes.cluster.objects["configmaps"]["ledger"]
        held["data"] = {f"c{n}": f"{n}:pod" for n in range(4000)}
        fresh = Ledger(api, f"/api/v1/namespaces/{NAMESPACE}/configmaps", body)
        assert await fresh.note("newest", "pod") == "pod"
        assert len(held["data"]) == 3001
        assert "c999" not in held["data"]
        assert "c1000" in held["data"]
    finally:
        await api.close()
        del kubernetes.cluster.objects["configmaps"]["ledger"]


async def test_a_cluster_that_is_not_there_is_named() -> None:
    from agentstead.clock import SystemClock
    from agentstead.sandbox.engines.kubernetes.engine import KubernetesEngine

    engine = KubernetesEngine(
        KubernetesApi(host="http://127.0.0.1:9"),
        namespace="x", owner="test", image="agent:1", clock=SystemClock(),
    )  # fmt: skip
    sandbox = EngineSandbox(engine, clock=SystemClock())
    probe = await sandbox.probe()
    assert not probe.ok
    assert "The cluster's API cannot be reached" in probe.problems[0]
    assert "AGENTSTEAD_KUBERNETES_CONTEXT" in probe.problems[1]
    await sandbox.close()


def test_the_role_that_ships_allows_what_is_needed_and_no_more() -> None:
    file = Path(__file__).parents[3] / "deploy" / "kubernetes" / "namespace.yaml"
    documents = {one["kind"]: one for one in yaml.safe_load_all(file.read_text())}
    given = {
        (group, resource, verb)
        for rule in documents["Role"]["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    wanted = {
        (group, f"{resource}/{part}" if part else resource, verb)
        for group, resource, part, verbs in (*NEEDED, *SANDBOX_NEEDED)
        for verb in verbs
    }
    assert given == wanted
    assert documents["NetworkPolicy"]["spec"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
