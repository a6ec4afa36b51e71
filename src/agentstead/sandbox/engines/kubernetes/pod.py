"""What a sandbox is to Kubernetes: a pod of two containers that trust each other with one socket.

`keeper` is the supervisor with the journal, `agent` the runner and everything that it starts. Neither has a
privilege, a token, or a user that another sandbox on the node has; what must not be the agent's to read or
to change is in volumes that its container does not have, or has read-only.
"""

import json
from hashlib import sha256
from typing import Any

from agentstead.sandbox.engines.bundle import version
from agentstead.sandbox.engines.engine import Plan
from agentstead.sandbox.guest.place import BUNDLE, CONFIG, STATE
from agentstead.sandbox.supervisor.place import UPLOADS_TARGET, WRITABLE

OWNER, SANDBOX = "agentstead/owner", "agentstead/sandbox"
"""Labels: whose it is, and which one (a digest; the id itself is the annotation of that name)."""
MANAGED = {"app.kubernetes.io/managed-by": "agentstead"}
KEEPER, AGENT = "keeper", "agent"
KEEPER_UID = 65532
FIRST_UID, UIDS = 200_000, 1 << 20
"""Of agents: one per sandbox, so that two on a node rarely share a user, and a limit of processes counts one."""
NAME_LENGTH = 20
MEET = "/agentstead-meet"
SKILLS = "/mnt/skills"
STATE_BYTES, MEET_BYTES = 256 << 20, 1 << 20
KEEPER_LIMITS = {"cpu": "500m", "memory": "128Mi"}
REQUESTS = {"cpu": "50m", "memory": "64Mi"}
"""What the scheduler keeps free for each container; agents mostly wait."""
GRACE_SECONDS = 5
PYTHON = ["python3", "-I", "-S", "-B", BUNDLE]
AGENTS = {"tmp": "/tmp", **{name: target for name, target in WRITABLE.items() if name != "tmp"}}  # noqa: S108
GIVEN = {"uploads": UPLOADS_TARGET, "skills": SKILLS}
"""Volumes that only the keeper writes."""


def digest(sandbox_id: str) -> str:
    """A sandbox's id as a part of names and labels."""
    return sha256(sandbox_id.encode()).hexdigest()[:NAME_LENGTH]


def name(owner: str, sandbox_id: str) -> str:
    """Of the pod, and of its ledger."""
    return f"agentstead-{owner}-{digest(sandbox_id)}"


def library(owner: str) -> str:
    """The ConfigMap with the program."""
    return f"agentstead-{owner}-lib-{version()}"


def metadata(owner: str, sandbox_id: str) -> dict[str, Any]:
    """Of everything that belongs to a sandbox."""
    return {
        "name": name(owner, sandbox_id),
        "labels": {**MANAGED, OWNER: owner, SANDBOX: digest(sandbox_id)},
        "annotations": {SANDBOX: sandbox_id},
    }


def uid(sandbox_id: str) -> int:
    """The user that the agent runs as."""
    return FIRST_UID + int(digest(sandbox_id), 16) % UIDS


def pod(plan: Plan, owner: str, image: str, runtime_class: str) -> dict[str, Any]:
    """The whole pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(owner, plan.sandbox_id),
        "spec": spec(plan, owner, image, runtime_class),
    }


def spec(plan: Plan, owner: str, image: str, runtime_class: str) -> dict[str, Any]:
    """The pod's spec."""
    limits = plan.limits
    disk = str(limits.disk_bytes)
    agent_limits = {
        "cpu": f"{max(1, int(limits.cpus * 1000))}m",
        "memory": str(limits.memory_bytes),
        "ephemeral-storage": disk,
    }
    made: dict[str, Any] = {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostname": "sandbox",
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            _container(plan, image, KEEPER, "keeper-apart", KEEPER_UID, KEEPER_LIMITS),
            _container(plan, image, AGENT, "room", uid(plan.sandbox_id), agent_limits),
        ],
        "volumes": [
            {"name": "lib", "configMap": {"name": library(owner)}},
            {"name": "state", "emptyDir": {"sizeLimit": str(STATE_BYTES)}},
            {"name": "meet", "emptyDir": {"sizeLimit": str(MEET_BYTES)}},
            *({"name": name, "emptyDir": {"sizeLimit": disk}} for name in (*AGENTS, *GIVEN)),
        ],
    }
    if runtime_class:
        made["runtimeClassName"] = runtime_class
    return made


def _container(
    plan: Plan, image: str, name: str, part: str, user: int, limits: dict[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "command": [*PYTHON, part],
        "workingDir": "/",
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": CONFIG, "value": json.dumps(dict(plan.config))}],
        "securityContext": {
            "runAsUser": user,
            "runAsGroup": user,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": {
            "limits": limits,
            "requests": {key: _less(key, value, limits) for key, value in REQUESTS.items()},
        },
        "volumeMounts": _mounts(keeper=name == KEEPER),
    }


def _less(key: str, value: str, limits: dict[str, str]) -> str:
    """A request may not be more than its limit."""
    if key == "memory":
        few = limits[key].isdigit() and int(limits[key]) < 64 << 20
    else:
        few = int(limits[key].removesuffix("m")) < int(value.removesuffix("m"))
    return limits[key] if few else value


def _mounts(*, keeper: bool) -> list[dict[str, Any]]:
    mounts: list[dict[str, Any]] = [
        {"name": "meet", "mountPath": MEET, "readOnly": not keeper},
        {
            "name": "lib",
            "mountPath": BUNDLE,
            "subPath": BUNDLE.rpartition("/")[2],
            "readOnly": True,
        },
    ]
    if keeper:
        mounts.insert(0, {"name": "state", "mountPath": STATE})
    mounts += [
        {"name": volume, "mountPath": target, "readOnly": keeper}
        for volume, target in AGENTS.items()
    ]
    mounts += [
        {"name": volume, "mountPath": target, "readOnly": not keeper}
        for volume, target in GIVEN.items()
    ]
    if not keeper:
        mounts.append({"name": "tmp", "mountPath": "/var/tmp"})  # noqa: S108
    return mounts
