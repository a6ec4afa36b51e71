"""What a sandbox is to a Docker engine: one container without a network or privileges, and three volumes.

The container is a process and no more: it is removed and made anew whenever the sandbox starts again.
What lasts (journal, workspace, outputs) lies in the volumes.
"""

import io
import json
import tarfile
from typing import Any

from agentstead.sandbox.engines.bundle import bundle
from agentstead.sandbox.engines.engine import Plan
from agentstead.sandbox.guest.place import BUNDLE, CONFIG, STATE
from agentstead.sandbox.supervisor.launch import OPEN_FILES_SOFT

OWNER, SANDBOX = "agentstead.owner", "agentstead.sandbox"
"""Labels: whose it is, and which one."""
VOLUMES = {"state": STATE, "work": "/workspace", "mnt": "/mnt"}
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "SETGID", "SETPCAP", "SETUID")
"""Of the supervisor, which starts as the container's root to keep its journal from the agent; the agent has none."""
SPARE_PROCESSES = 16
"""Beyond the agent's, for the supervisor and its relays."""
TMP = "/tmp"  # noqa: S108 (the container's own)
TMP_BYTES_MAX = 1 << 30
VAR_TMP_BYTES = 64 << 20
SHM_BYTES = 64 << 20
PYTHON = ("python3", "-I", "-S", "-B", BUNDLE)


def name(owner: str, sandbox_id: str) -> str:
    """The container's name."""
    return f"agentstead-{owner}-{sandbox_id}"


def volume(owner: str, sandbox_id: str, part: str) -> str:
    """The name of one of its volumes."""
    return f"{name(owner, sandbox_id)}-{part}"


def labels(owner: str, sandbox_id: str) -> dict[str, str]:
    """Of everything that belongs to it."""
    return {OWNER: owner, SANDBOX: sandbox_id}


def container(plan: Plan, owner: str, image: str, runtime: str) -> dict[str, Any]:
    """The body of the request that makes it."""
    made: dict[str, Any] = {
        "Image": image,
        "Entrypoint": [*PYTHON, "keeper"],
        "Cmd": [],
        "User": "0:0",
        "WorkingDir": "/",
        "Hostname": "sandbox",
        "NetworkDisabled": True,
        "Tty": False,
        "OpenStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Healthcheck": {"Test": ["NONE"]},
        "Env": [f"{CONFIG}={json.dumps(dict(plan.config))}"],
        "Labels": labels(owner, plan.sandbox_id),
        "HostConfig": _host_config(plan, owner),
    }
    if runtime:
        made["HostConfig"]["Runtime"] = runtime
    return made


def _host_config(plan: Plan, owner: str) -> dict[str, Any]:
    limits = plan.limits
    tmp = min(limits.disk_bytes, TMP_BYTES_MAX)
    options = "rw,exec,nosuid,nodev,mode=1777,size="
    return {
        "NetworkMode": "none",
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": list(CAPABILITIES),
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "IpcMode": "private",
        "CgroupnsMode": "private",
        "Init": False,
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "NanoCpus": int(limits.cpus * 1e9),
        "PidsLimit": limits.processes_max + SPARE_PROCESSES,
        "ShmSize": SHM_BYTES,
        "Tmpfs": {TMP: f"{options}{tmp}", f"/var{TMP}": f"{options}{VAR_TMP_BYTES}"},
        "Ulimits": [
            {
                "Name": "nofile",
                "Soft": min(OPEN_FILES_SOFT, limits.open_files_max),
                "Hard": limits.open_files_max,
            },
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "Mounts": [
            {
                "Type": "volume",
                "Source": volume(owner, plan.sandbox_id, part),
                "Target": target,
                "VolumeOptions": {"Labels": labels(owner, plan.sandbox_id)},
            }
            for part, target in VOLUMES.items()
        ],
    }


def archive() -> bytes:
    """The program, to be put into the volume of the supervisor before the container starts."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        file = tarfile.TarInfo(BUNDLE.removeprefix(f"{STATE}/"))
        file.size, file.mode = len(bundle()), 0o444
        tar.addfile(file, io.BytesIO(bundle()))
    return packed.getvalue()
