"""Sandboxes on a Docker engine: what it is asked for, what it refuses, and what that becomes."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import SandboxFault
from agentstead.sandbox.engines.docker.engine import DockerEngine
from agentstead.sandbox.engines.hands import EngineSandbox
from agentstead.sandbox.sandbox import Limits, Mount, SandboxSpec, Upload
from tests.support.engines import OnDocker, on_docker
from tests.support.sandboxes import SPEC, text

ID = "sesn_engine"


@pytest.fixture
async def docker() -> AsyncIterator[OnDocker]:
    async with on_docker() as subject:
        yield subject


async def bash(docker: OnDocker, call_id: str, command: str, spec: SandboxSpec = SPEC) -> str:
    outcome = await docker.newest().call(ID, spec, call_id, "bash", {"command": command})
    return text(outcome)


async def test_the_engine_is_asked_for_every_limit_and_no_privilege(docker: OnDocker) -> None:
    limits = Limits(
        memory_bytes=300 << 20, processes_max=40, cpus=0.5, disk_bytes=1 << 30, open_files_max=512
    )
    sandbox = docker.another(runtime="runsc")
    await sandbox.call(ID, SandboxSpec(limits), "call_1", "bash", {"command": "true"})
    assert '{"ok": true' in await sandbox.engine.last_words(ID)
    assert await sandbox.engine.last_words("sesn_never") == ""
    asked = docker.made(ID).body
    host = asked["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert asked["NetworkDisabled"] is True
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 300 << 20
    assert host["NanoCpus"] == 500_000_000
    assert host["PidsLimit"] == 40 + 16
    assert host["Runtime"] == "runsc"
    assert {one["Name"]: one["Hard"] for one in host["Ulimits"]} == {"nofile": 512, "core": 0}
    assert f"size={1 << 30}" in host["Tmpfs"]["/tmp"]
    assert not host["Privileged"]
    assert "Binds" not in host
    assert {mount["Type"] for mount in host["Mounts"]} == {"volume"}
    assert "ExposedPorts" not in asked
    assert "PortBindings" not in host
    assert asked["Labels"] == {"agentstead.owner": "test", "agentstead.sandbox": ID}
    assert [path for _, path in docker.engine.log].count("/containers/create") == 1


async def test_the_agent_is_apart_from_the_supervisor_and_its_journal(docker: OnDocker) -> None:
    said = await bash(docker, "call_1", "id -u; ls /agentstead/* 2>&1; cat /proc/1/environ 2>&1")
    assert said.startswith("1000\n")
    assert f"cannot open directory '/agentstead/{ID}': Permission denied" in said
    assert "/proc/1/environ: Permission denied" in said
    said = await bash(docker, "call_2", "kill -9 1; kill -9 2; touch /agentstead/x /usr/x /x 2>&1")
    assert said.count("Operation not permitted") == 2
    assert "cannot touch '/agentstead/x': Permission denied" in said
    assert said.count("Read-only file system") == 2
    assert await bash(docker, "call_3", "touch /mnt/session/uploads/x 2>&1; echo $?") == (
        "touch: cannot touch '/mnt/session/uploads/x': Permission denied\n1"
    )


async def test_files_outlive_a_sandbox_that_rests(docker: OnDocker) -> None:
    sandbox = docker.another()
    await bash(docker, "call_1", "echo kept > a; echo out > /mnt/session/outputs/o.txt; cd /tmp")
    running = await sandbox.outputs(ID)
    await sandbox.rest()
    made = docker.made(ID)
    assert made.pump is not None
    await asyncio.wait_for(asyncio.shield(made.pump), 5)
    resting = await sandbox.outputs(ID)
    assert [(one.path, one.size_bytes) for one in running] == [("o.txt", 4)]
    assert [(one.path, one.size_bytes) for one in resting] == [("o.txt", 4)]
    assert b"".join([piece async for piece in sandbox.read_output(ID, "o.txt")]) == b"out\n"
    with pytest.raises(SandboxFault, match="not there any more"):
        _ = [piece async for piece in sandbox.read_output(ID, "gone.txt")]
    assert sandbox.engine.running
    smaller = SandboxSpec(Limits(memory_bytes=64 << 20, call_seconds=20.0))
    said = await bash(docker, "call_2", "cat a; pwd", smaller)
    assert said.startswith("[the sandbox was started again: files are as they were")
    assert said.endswith("]\nkept\n/workspace")
    assert docker.made(ID).body["HostConfig"]["Memory"] == 64 << 20
    assert b"".join([piece async for piece in sandbox.read_output(ID, "o.txt")]) == b"out\n"


async def test_uploads_and_folders_lie_there_read_only(docker: OnDocker, tmp_path: Path) -> None:
    (tmp_path / "skill" / "deep").mkdir(parents=True)
    (tmp_path / "skill" / "deep" / "run.sh").write_text("echo ran")
    body = tmp_path / "blob_1"
    body.write_bytes(b"x" * 700_000)
    mounts = (Mount(str(tmp_path / "skill"), "/mnt/skills/one"),)
    spec = SandboxSpec(SPEC.limits, mounts, uploads=(Upload(str(body), "data/big.bin"),))
    look = "cat /mnt/skills/one/deep/run.sh; wc -c < /mnt/session/uploads/data/big.bin"
    assert await bash(docker, "call_1", look, spec) == "echo ran700000"
    sandbox = docker.newest()
    assert await sandbox.uploaded() == {ID: {"data/big.bin": str(body)}}
    gone = SandboxSpec(SPEC.limits, mounts)
    assert await bash(docker, "call_2", "ls /mnt/session/uploads", gone) == "(no output)"
    assert (
        await bash(docker, "call_3", "wc -c < /mnt/session/uploads/data/big.bin", spec) == "700000"
    )
    await sandbox.take_away(ID, {"data/big.bin": str(body)})
    assert await sandbox.uploaded() == {}
    assert await bash(docker, "call_4", "ls /mnt/session/uploads", gone) == "(no output)"
    refused = SandboxSpec(SPEC.limits, (Mount(str(tmp_path), "/workspace/x"),))
    with pytest.raises(SandboxFault, match="only read-only folders below /mnt"):
        await docker.another().call("sesn_other", refused, "call_1", "bash", {"command": "true"})


async def test_an_image_that_is_missing_is_fetched_and_one_that_cannot_be_is_said(
    docker: OnDocker,
) -> None:
    docker.engine.images.clear()
    with pytest.raises(
        SandboxFault, match="cannot get the image agent:1: manifest for agent:1"
    ) as fault:
        await bash(docker, "call_1", "true")
    assert fault.value.kind == "start"
    docker.engine.pullable.add("agent:1")
    assert await bash(docker, "call_1", "echo ok") == "ok"


async def test_an_engine_short_of_processes_is_asked_again(docker: OnDocker) -> None:
    docker.engine.broken_execs = 1
    assert await bash(docker, "call_1", "echo ok") == "ok"


async def test_a_container_that_ends_at_once_says_why(docker: OnDocker) -> None:
    docker.engine.start_words = ["sh", "-c", "echo no python3 here >&2; exit 3"]
    with pytest.raises(SandboxFault, match="no python3 here") as fault:
        await bash(docker, "call_1", "true")
    assert fault.value.kind == "start"
    assert docker.engine.made == {}
    docker.engine.start_words = ["/usr/bin/nothing"]
    with pytest.raises(SandboxFault, match="/usr/bin/nothing"):
        await bash(docker, "call_1", "true")
    await docker.newest().cancel(ID, "call_1")  # nothing can run, so it has ended
    docker.engine.start_words = []
    assert await bash(docker, "call_1", "echo ok") == "ok"


async def test_a_container_left_by_a_starter_that_died_makes_way(docker: OnDocker) -> None:
    sandbox = docker.another()
    assert isinstance(sandbox.engine, DockerEngine)
    await sandbox.engine.api.json(
        "POST", "/containers/create", {"Image": "agent:1"}, name=f"agentstead-test-{ID}"
    )
    assert await bash(docker, "call_1", "echo ok") == "ok"


async def test_a_sandbox_that_nobody_renews_ends_itself_and_renewing_keeps_it() -> None:
    async with on_docker(idle_seconds=0.8) as docker:
        await bash(docker, "call_1", "true")
        made = docker.made(ID)
        for _ in range(6):
            await docker.newest().keep([ID, "sesn_never"])
            await asyncio.sleep(0.2)
        assert made.state == "running"
        assert made.pump is not None
        await asyncio.wait_for(asyncio.shield(made.pump), 5)
        assert made.container.exit_code == 0


async def test_platforms_on_one_engine_do_not_see_each_other(docker: OnDocker) -> None:
    await bash(docker, "call_1", "true")
    other = docker.another(owner="other")
    assert await other.reconcile(set()) == []
    await other.destroy(ID)
    assert docker.made(ID).state == "running"
    docker.sandboxes.insert(0, docker.sandboxes.pop())


async def test_destroying_leaves_neither_container_nor_volume(docker: OnDocker) -> None:
    await bash(docker, "call_1", "sleep 60 & echo ok")
    assert len(docker.engine.volumes) == 3
    fresh = docker.another()  # a process that has no line to it
    await fresh.destroy(ID)
    assert docker.engine.made == {}
    assert docker.engine.volumes == {}


async def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    docker = DockerEngine(
        f"unix://{tmp_path}/none.sock", owner="test", image="agent:1", clock=SystemClock()
    )
    sandbox = EngineSandbox(docker, clock=SystemClock())
    probe = await sandbox.probe()
    assert not probe.ok
    assert f"The engine at unix://{tmp_path}/none.sock cannot be reached" in probe.problems[0]
    assert "AGENTSTEAD_DOCKER_HOST" in probe.problems[1]
    with pytest.raises(SandboxFault, match="cannot be reached"):
        await sandbox.reconcile(set())
    assert sandbox.problems == (
        "The engine that runs sandboxes cannot be used; the server's log says why.",
    )
    await sandbox.close()


@pytest.mark.parametrize(
    ("info", "runtime", "said"),
    [
        ({"OSType": "windows"}, "", "runs no Linux containers"),
        ({}, "kata", "has no runtime 'kata' (AGENTSTEAD_CONTAINER_RUNTIME); it has: runc, runsc"),
    ],
)
async def test_an_engine_that_cannot_do_it_says_why(
    docker: OnDocker, info: dict[str, Any], runtime: str, said: str
) -> None:
    docker.engine.info.update(info)
    probe = await docker.another(runtime=runtime).probe()
    assert not probe.ok
    assert said in probe.problems[0]
    assert docker.engine.made == {}


async def test_what_is_weak_is_told_and_does_not_hinder(docker: OnDocker) -> None:
    docker.engine.info.update({"SecurityOptions": [], "MemoryLimit": False})
    probe = await docker.another().probe()
    assert probe.ok
    assert [problem.split(":")[0] for problem in probe.problems] == [
        "The engine filters no system calls (seccomp is off).",
        "The engine cannot limit memory; its host's control groups are why.",
        "The engine maps no users",
    ]


@pytest.mark.parametrize("address", ["", "/var/run/docker.sock", "ssh://host", "tcp://"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is no address of an engine"):
        DockerEngine(address, owner="test", image="agent:1", clock=SystemClock())


async def test_the_engine_of_these_tests_answers_its_own_program_too(docker: OnDocker) -> None:
    """The judge of our engine is the client that everybody uses."""
    program = shutil.which("docker")
    if program is None:
        pytest.skip("needs the docker program")
    await bash(docker, "call_1", "echo found > /workspace/a.txt")
    name = f"agentstead-test-{ID}"

    async def run(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(
            subprocess.run,
            [program, "-H", f"unix://{docker.engine.socket}", *words],
            capture_output=True,
            timeout=20,
            env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]},
        )
        return done.returncode, (done.stdout + done.stderr).decode()

    assert await run("ps", "--format", "{{.Names}} {{.State}}") == (0, f"{name} running\n")
    assert await run("exec", name, "cat", "/workspace/a.txt") == (0, "found\n")
    code, listed = await run("volume", "ls", "--format", "{{json .}}")
    assert code == 0
    assert sorted(json.loads(line)["Name"] for line in listed.splitlines()) == [
        f"{name}-{part}" for part in ("mnt", "state", "work")
    ]
    assert await run("rm", name) == (
        1,
        f'Error response from daemon: cannot remove container "/{name}": container is running:'
        " stop the container before removing or force remove\n",
    )
    assert await run("rm", "-f", name) == (0, f"{name}\n")
    assert (await run("exec", name, "true"))[1] == (
        f"Error response from daemon: No such container: {name}\n"
    )
