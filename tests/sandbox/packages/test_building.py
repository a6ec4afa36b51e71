"""Packages are installed for real, by pip and npm, from an index on the loopback."""

import asyncio
import os
import shutil
import signal
import sys

import pytest

from agentstead.errors import SandboxFault
from agentstead.sandbox.sandbox import Limits, SandboxSpec
from agentstead.sandbox.supervisor.place import BUILD
from tests.support.packages import ALIKE, BOTH, PIP, layer_of, package_index, packaged, packages_of
from tests.support.sandboxes import needed, supervisor_pid, text

pytestmark = pytest.mark.timeout(90)


async def said(hands, layer: str, command: str, session: str = "s1", call: str = "c1") -> str:
    spec = SandboxSpec(Limits(processes_max=64, call_seconds=20.0), packages=layer)
    return text(await hands.call(session, spec, call, "bash", {"command": command}))


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.02)


USE = """
python3 -c 'import it; print(it.VALUE)'
it-runs
node -e "console.log(require('@here/it'))"
it-node
touch /mnt/packages/x 2>&1 | grep -o 'Read-only file system'
mkdir -p .local/lib/python3.$(python3 -c 'import sys; print(sys.version_info[1])')/site-packages
echo 'VALUE = "mine"' > $(echo .local/lib/python3.*/site-packages)/it.py
python3 -c 'import it; print(it.VALUE)'
python3 -m venv --without-pip /tmp/v && /tmp/v/bin/python -c 'import it' 2>&1 | tail -n 1
stat -c '%u %a' /mnt/packages/python
"""


async def test_one_build_by_pip_and_npm_serves_every_sandbox() -> None:
    await needed()
    if shutil.which("npm") is None:
        pytest.skip("needs npm")
    with package_index() as index:
        async with packaged(index) as place:
            index.open.clear()
            ours, theirs = place.packages, packages_of(place.hands, place.data_dir)
            builds = [asyncio.create_task(layer_of(one, BOTH)) for one in (ours, ours, theirs)]
            await until(lambda: index.downloads)
            (note,) = theirs.layers.building()
            assert note.words == "pip"  # the last in the order of the wire
            assert await layer_of(theirs, BOTH, wait=False) == ""
            index.open.set()
            (layer,) = set(await asyncio.gather(*builds))
            assert await layer_of(theirs, BOTH, wait=False) == layer
            assert index.downloads == 1

            owner = "65534" if os.geteuid() == 0 else "1000"
            assert (await said(place.hands, layer, USE)).splitlines() == [
                "42",
                "it runs 42",
                "43",
                "it runs 43",
                "Read-only file system",
                "mine",  # what the agent installs itself goes before it
                "ModuleNotFoundError: No module named 'it'",  # a virtual environment is empty
                f"{owner} 755",
            ]
            assert await said(place.hands, layer, "it-runs", session="s2") == "it runs 42"


async def test_a_failure_is_remembered_for_a_while_and_then_tried_again() -> None:
    await needed()
    with package_index() as index:
        async with packaged(index) as place:
            page = index.files.pop("/simple/it/")
            for _ in range(2):
                with pytest.raises(SandboxFault) as caught:
                    await layer_of(place.packages, PIP)
                assert caught.value.kind == "packages"
                assert caught.value.message.startswith("pip could not install it==1.0:\n")
                assert "No matching distribution found for it==1.0" in caught.value.message
            assert index.asked == ["/simple/it/"]
            (failure,) = place.packages.layers.failures()
            assert failure.packages == {"pip": ["it==1.0"]}
            # the agent goes on without them, until they are there
            await said(place.hands, "", "echo kept > f")
            index.files["/simple/it/"] = page
            index.open.clear()
            late = packages_of(place.hands, place.data_dir, retry_seconds=0, seconds=1.5)
            with pytest.raises(SandboxFault, match=r"timed out after .* s and was ended"):
                await layer_of(late, PIP)
            index.open.set()
            again = packages_of(place.hands, place.data_dir, retry_seconds=0)
            found = await said(place.hands, await layer_of(again, PIP), "it-runs; cat f", call="c2")
            assert found.splitlines()[1:] == ["it runs 42", "kept"]
            assert found.startswith("[the sandbox was started again")
            assert list(place.packages.layers.failures()) == []


async def test_a_builder_that_is_killed_leaves_nothing_half_done() -> None:
    await needed()
    with package_index() as index:
        async with packaged(index) as place:
            index.open.clear()
            given = (str(place.hands.root), str(place.data_dir), str(index.port))
            words = (
                f"import asyncio; from tests.support.packages import main; asyncio.run(main{given})"
            )
            builder = await asyncio.create_subprocess_exec(sys.executable, "-c", words)
            await until(lambda: index.downloads == 2)
            builder.kill()
            await builder.wait()
            lost, _ = await place.hands.builds()
            os.kill(supervisor_pid(place.hands, lost), signal.SIGKILL)  # the other one goes on
            layers = place.packages.layers
            assert (layers.listed(), list(layers.building())) == ([], [])
            assert sum(one.name.startswith(".new-") for one in layers.root.iterdir()) == 2
            builds = [asyncio.create_task(layer_of(place.packages, one)) for one in (PIP, ALIKE)]
            await until(lambda: len(list(layers.building())) == 2)
            index.open.set()
            for number, layer in enumerate(await asyncio.gather(*builds)):
                assert (
                    await said(place.hands, layer, "it-runs", session=f"s{number}") == "it runs 42"
                )
            assert index.downloads == 3
            assert await place.hands.builds() == []


async def test_what_a_dead_builder_left_is_swept_away() -> None:
    await needed()
    with package_index() as index:
        async with packaged(index) as place:
            spec = SandboxSpec(Limits(call_seconds=20.0))
            await place.hands.call(f"{BUILD}aa", spec, "c", "bash", {"command": "true"})
            lock = place.packages.layers.lock("aa")
            assert lock is not None
            place.packages.layers.draft("aa")
            await place.packages.sweep()
            assert await place.hands.builds() == [f"{BUILD}aa"]  # somebody builds it
            assert await place.hands.reconcile(set()) == []
            os.close(lock)
            dead = place.packages.layers.lock("bb")
            assert dead is not None
            place.packages.layers.draft("bb")
            os.close(dead)
            await place.packages.sweep()
            assert await place.hands.builds() == []
            left = sorted(one.name for one in place.packages.layers.root.iterdir())
            assert left == [".lock-aa", ".lock-bb"]


async def test_managers_that_need_an_image_are_refused() -> None:
    with package_index() as index:
        async with packaged(index) as place:
            with pytest.raises(SandboxFault, match="agentstead image build"):
                await layer_of(place.packages, {"packages": {"apt": ["jq"], "pip": ["it"]}})
            assert await layer_of(place.packages, {"type": "self_hosted"}) == ""
            assert index.asked == []
