"""Packages are installed into an image by six managers, here stand-ins that write down what they are told."""

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.errors import SandboxFault
from agentstead.sandbox.images import making
from agentstead.sandbox.images.images import Images
from agentstead.sandbox.network import Egress
from agentstead.sandbox.packages import on_image
from agentstead.sandbox.packages.building import Packages
from agentstead.sandbox.packages.elsewhere import Elsewhere
from agentstead.sandbox.packages.layers import FOLDER, Layers
from agentstead.sandbox.packages.recipe import wanted
from agentstead.sandbox.packages.workshop import Bounds, Workshop, installs_into
from agentstead.sandbox.sandbox import Limits, Prepared, SandboxSpec
from agentstead.sandbox.supervisor import disk, userns
from agentstead.telemetry.metrics import Metrics
from tests.support.images import add_file, add_folder, tarball
from tests.support.sandboxes import needed, real_sandboxes, text

root_only = pytest.mark.skipif(
    os.geteuid() != 0 or not userns.whole(), reason="needs root and a range of users"
)
LISTED: Any = {
    "pip": ["it==1.0"],
    "npm": ["@here/it@1.2", "other"],
    "go": ["example.test/tool@v1.2", "example.test/other"],
    "gem": ["rake:13.1"],
    "cargo": ["ripgrep@14.1"],
    "apt": ["jq=1.7-1", "tree"],
}
STAND_IN = """#!/bin/bash
echo "$(basename "$0") $*" >> /usr/local/told
echo "$(basename "$0") at work for $(id -u) at ${http_proxy}"
for last; do :; done
[ "$last" != broken ] || { echo "E: https://user:hunter2@mirror.test has no broken"; exit 100; }
"""
PIP = """import sys
open("/usr/local/told", "a").write(" ".join(["pip", *sys.argv[1:]]) + "\\n")
"""


def system() -> bytes:
    """The tiny root file system, with stand-ins for the managers."""
    buffer = io.BytesIO(tarball())
    with tarfile.open(fileobj=buffer, mode="a") as tar:
        for folder in ("usr/local", "usr/local/bin"):
            add_folder(tar, folder)
        for name in ("apt-get", "cargo", "gem", "go", "npm", "basename"):
            found = Path("/usr/bin/basename").read_bytes() if name == "basename" else None
            add_file(tar, f"usr/bin/{name}", found or STAND_IN.encode(), 0o755)
        modules = {member.name.split("/")[2] for member in tar if "/os.py" in member.name}
        add_file(tar, f"usr/lib/{modules.pop()}/pip.py", PIP.encode())
    return buffer.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Images, str]]:
    top = tmp_path_factory.mktemp("system")
    images, file = Images(top / "images"), top / "system.tar"
    file.write_bytes(system())
    try:
        image, _ = making.make(images, file, "s", "2026-11-24T00:00:00Z", lambda _: None, None)
        yield images, image.id
    finally:
        file.unlink()
        disk.delete(images.root)


def on(image_id: str, lists: Any) -> Any:
    """An environment as a session keeps it."""
    return {
        "config": {"packages": {"type": "packages", **lists}},
        "agentstead": {"image": image_id},
    }


def test_every_managers_command_takes_names_as_they_are_given() -> None:
    steps = {
        step.manager: step.command.splitlines()
        for step in on_image.scripts(wanted({"packages": LISTED}))
    }
    assert list(steps) == ["apt", "cargo", "gem", "go", "npm", "pip"]
    assert steps["apt"][0] == "command -v apt-get >/dev/null || exit 97"
    assert steps["apt"][1].startswith(
        "apt-get update -qq && apt-get install -y -q --no-install-recommends -- jq=1.7-1 tree && "
    )
    assert steps["go"][1] == (
        "go install -- example.test/tool@v1.2 && go install -- example.test/other@latest"
    )


@root_only
async def test_six_managers_install_in_order_into_one_layer(
    made: tuple[Images, str], tmp_path: Path
) -> None:
    await needed()
    images, image_id = made
    async with real_sandboxes(images=images, egress=Egress()) as hands:
        layers = Layers(hands.root / f".{FOLDER}")
        workshop = Workshop(hands, Bounds(retry_seconds=0), Limits(), hands.clock, images)
        packages = Packages(layers, workshop, hands.clock, Metrics())
        try:
            assert installs_into(images, image_id)
            where = await packages.prepared(on(image_id, LISTED))
            assert where.packages == ""
            spec = SandboxSpec(Limits(call_seconds=20.0), image=image_id, layers=where.layers)
            call = {"command": "cat /usr/local/told; id -u; touch /usr/local/x"}
            said = text(await hands.call("s1", spec, "c1", "bash", call)).splitlines()
            assert said[:-3] == [
                "apt-get update -qq",
                "apt-get install -y -q --no-install-recommends -- jq=1.7-1 tree",
                "apt-get clean",
                "cargo install --root /usr/local -- ripgrep@14.1",
                "gem install --no-document -- rake:13.1",
                "go install -- example.test/tool@v1.2",
                "go install -- example.test/other@latest",
                "npm install --global --prefix /usr/local --no-audit --no-fund --no-update-notifier"
                " --loglevel=error -- @here/it@1.2 other",
                "pip install --no-input --no-cache-dir --progress-bar off -- it==1.0",
            ]
            assert said[-3] == "1000"
            assert "Read-only file system" in said[-2]
            assert await packages.prepared(on(image_id, LISTED), wait=False) == where
            (layer,) = layers.listed()
            assert list(layer.packages) == ["apt", "cargo", "gem", "go", "npm", "pip"]

            with pytest.raises(SandboxFault) as caught:
                await packages.prepared(on(image_id, {"apt": ["broken"]}))
            at_work = "apt-get at work for 0 at http://127.0.0.1:3128\n"
            assert caught.value.message == (
                f"apt could not install broken:\n{at_work}{at_work}"
                "E: https://[redacted]@mirror.test has no broken\n[exit code 100]"
            )
            assert await hands.builds() == []
        finally:
            await packages.close()
            disk.delete(layers.root)


async def test_without_root_or_an_image_they_are_refused(made: tuple[Images, str]) -> None:
    images, image_id = made
    async with real_sandboxes(images=images, egress=Egress()) as hands:
        workshop = Workshop(hands, Bounds(), Limits(), hands.clock, images)
        with pytest.raises(SandboxFault, match="`agentstead image build`"):
            await workshop.recipe({"config": {"packages": {"cargo": ["x"]}}})
        recipe = await workshop.recipe(on(image_id, {"pip": ["it"]}))
        assert recipe is not None
        assert recipe.whole == installs_into(images, image_id)
        if os.geteuid() != 0:
            with pytest.raises(SandboxFault, match="platform to run as root"):
                await workshop.recipe(on(image_id, {"cargo": ["x"]}))


async def test_on_an_engine_nothing_is_installed_and_that_is_said() -> None:
    assert await Elsewhere().prepared({"config": {"type": "cloud"}}) == Prepared()
    with pytest.raises(SandboxFault, match="engine's image"):
        await Elsewhere().prepared(on("", {"pip": ["it"]}))
