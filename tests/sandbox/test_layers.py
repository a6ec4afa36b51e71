"""Installing into an image: what becomes of it, and that root in there is nobody outside."""

import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agentstead.errors import SandboxFault
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.images.image import Image
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.layers import LayerFailed, build_layer
from agentstead.sandbox.sandbox import SandboxSpec
from agentstead.sandbox.supervisor import disk, userns
from tests.support.images import tiny_image
from tests.support.sandboxes import SPEC, left_below, needed, real_sandboxes, text

root_only = pytest.mark.skipif(
    os.geteuid() != 0 or not userns.whole(), reason="needs root and a range of users"
)
INSTALL = """
set -e
echo 'echo hello' > /usr/bin/hello; chmod 4755 /usr/bin/hello; chown 33:33 /usr/bin/hello
mkdir -p /opt/tool; echo 1 > /opt/tool/file; rm -r /srv
rm -f /etc/hosts; ln -s /etc/shadow /etc/hosts
echo junk > /root/junk; echo junk > /tmp/junk; echo junk > /workspace/junk
id -u
"""


@dataclass
class Yard:
    """An image, sandboxes that install into it, and sandboxes of sessions."""

    images: Images
    image: Image
    builds: Bubblewrap
    sandboxes: Bubblewrap
    layers: Path

    @property
    def spec(self) -> SandboxSpec:
        return replace(SPEC, image=self.image.id)

    async def install(
        self, name: str, *scripts: str, on: SandboxSpec | None = None
    ) -> list[tuple[str, ...]]:
        into = self.layers / name
        return [lines async for lines in build_layer(self.builds, on or self.spec, scripts, into)]

    async def see(self, command: str, *layers: str) -> str:
        spec = replace(self.spec, layers=tuple(str(self.layers / name) for name in layers))
        outcome = await self.sandboxes.call("sesn_1", spec, "1", "bash", {"command": command})
        await self.sandboxes.destroy("sesn_1")
        return text(outcome)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Images, Image]]:
    with tiny_image(tmp_path_factory.mktemp("image")) as made:
        yield made


@pytest.fixture
async def yard(tiny: tuple[Images, Image], tmp_path: Path) -> AsyncIterator[Yard]:
    await needed()
    images, image = tiny
    async with (
        real_sandboxes(images=images, installing=True) as builds,
        real_sandboxes(images=images) as sandboxes,
    ):
        # beside the builds, as in a data directory: a layer is moved there, not copied
        layers = builds.root / ".layers"
        yield Yard(images, image, builds, sandboxes, layers)
        assert await builds.reconcile(set()) == []
        if layers.exists():
            for layer in layers.iterdir():
                disk.delete(layer)
            layers.rmdir()


@root_only
async def test_what_a_script_changes_is_seen_on_top_of_its_image(yard: Yard) -> None:
    assert await yard.install("a", INSTALL) == [("0",)]
    look = "hello; cat /opt/tool/file /etc/hosts; ls / /workspace; touch /opt/x"
    said = await yard.see(look, "a")
    assert said.startswith("hello\n1\n127.0.0.1 localhost")
    assert "srv" not in said
    assert "junk" not in said
    assert "Read-only file system" in said
    hello = (yard.layers / "a" / "usr/bin/hello").stat()
    assert hello.st_uid == userns.FIRST + 33
    assert hello.st_mode & 0o6000 == 0, "no program of a layer becomes anybody else"
    assert sorted(path.name for path in (yard.layers / "a").iterdir()) == [
        "etc",
        "opt",
        "srv",
        "usr",
    ]
    root = yard.images.opened(yard.image.id)[1]
    assert (root / "srv").is_dir(), "the image itself has changed"
    assert not (root / "usr/bin/hello").exists()


@root_only
async def test_layers_lie_on_each_other_and_on_the_hosts_directories(yard: Yard) -> None:
    await yard.install("a", "echo a > /usr/lib/which; echo a > /usr/lib/lower")
    on_a = replace(yard.spec, layers=(str(yard.layers / "a"),))
    await yard.install("b", "cat /usr/lib/lower; echo b > /usr/lib/which", on=on_a)
    assert await yard.see("cat /usr/lib/which /usr/lib/lower", "a", "b") == "b\na"
    on_host = replace(SPEC, layers=(str(yard.layers / "a"),))
    command = {"command": "cat /usr/lib/which; git --version"}
    outcome = await yard.sandboxes.call("sesn_2", on_host, "1", "bash", command)
    assert text(outcome).startswith("a\ngit version")


@root_only
async def test_a_script_that_fails_leaves_nothing_and_its_last_lines(yard: Yard) -> None:
    with pytest.raises(LayerFailed) as failed:
        await yard.install("a", "echo first", "echo cause; exit 7", "echo never")
    assert failed.value.number == 1
    assert failed.value.lines == ("cause", "[exit code 7]")
    assert not (yard.layers / "a").exists()
    assert left_below(yard.builds.root.parent) == []


@root_only
async def test_root_in_there_is_nobody_outside(yard: Yard) -> None:
    probes = {
        "core_pattern": "cat /proc/sys/kernel/core_pattern > /tmp/was && cat /tmp/was > /proc/sys/kernel/core_pattern",
        "remount": "mount -o remount,rw /proc/sys",
        "mount": "mount -t tmpfs none /mnt",
        "namespace": "unshare -Ur true",
        "mount namespace": "unshare -m true",
        "device": "mknod /tmp/disk b 8 0",
        "host file": f"cat {Path(__file__)}",
        "image by path": f"ls {yard.images.root}",
        "sysrq": "echo h > /proc/sysrq-trigger",
        "chroot": "python3 -c 'import os; os.chroot(\"/tmp\")'",
        "raw socket": "python3 -c 'import socket as s; s.socket(s.AF_INET, s.SOCK_RAW, 1)'",
        "vsock": "python3 -c 'import socket as s; s.socket(40, 1)'",
        "ptrace": "python3 -c 'import ctypes; exit(ctypes.CDLL(None).ptrace(16, 1, 0, 0) != 0)'",
        "host user": "python3 -c 'import os; os.setuid(70000)'",
        "memory of the runner": "cat /proc/2/mem",
    }
    script = "\n".join(
        f"({probe}) 2>/dev/null && echo 'OPEN {name}'" for name, probe in probes.items()
    )
    status = "cat /proc/self/uid_map; grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status"
    ((*lines,),) = await yard.install("a", f"{script}\n{status}")
    found = "\n".join(lines)
    assert "OPEN" not in found
    assert lines[0].split() == ["0", str(userns.FIRST), str(userns.COUNT)]
    assert "CapEff:\t00000000000000fb" in found, "owners and users of the image, and nothing else"
    assert "CapBnd:\t00000000000000fb" in found
    assert "NoNewPrivs:\t1" in found
    assert "Seccomp:\t2" in found


@root_only
async def test_a_sandbox_of_an_image_that_is_gone_says_so(yard: Yard) -> None:
    spec = replace(SPEC, image="0" * 64)
    with pytest.raises(SandboxFault, match="is not on this machine") as fault:
        await yard.sandboxes.call("sesn_1", spec, "1", "bash", {"command": "true"})
    assert fault.value.kind == "start"


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a plain user: root can")
async def test_a_plain_user_cannot_install(yard: Yard) -> None:
    with pytest.raises(SandboxFault, match="only where the platform runs as root"):
        await yard.install("a", "true")
