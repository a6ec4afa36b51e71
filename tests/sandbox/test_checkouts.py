"""Checkouts in sandboxes of their own, from a real host of repositories."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import RepositoryFault, SandboxFault
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.checkouts import Bounds, Checkouts, Wanted
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.network import Egress
from agentstead.sandbox.sandbox import Network, SandboxSpec
from tests.support.git_hosts import NAME, GitHost, git, git_host
from tests.support.sandboxes import SPEC, needed, real_sandboxes, text

COUNT = "cd /workspace/a/tools && git status --porcelain && git rev-list --count HEAD && stat -c %U . .git/HEAD link"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with git_host(tmp_path_factory.mktemp("host")) as found:
        work = found.make("tools", {"README.md": "open\n", ".gitattributes": "* filter=evil\n"})
        (work / ".gitmodules").write_text(
            f'[submodule "s"]\n\tpath = s\n\turl = {found.url("other")}\n'
        )
        (work / "link").symlink_to("/etc/shadow")
        found.commit("tools", "hostile")
        (found.make("large", {}) / "noise").write_bytes(secrets.token_bytes(3 << 20))
        found.commit("large", "noise")
        empty = found.root / "acme" / "empty"
        empty.mkdir()
        git(empty, "init", "-q", "--bare")
        yield found


@pytest.fixture
async def checkouts(host: GitHost) -> AsyncIterator[Checkouts]:
    await needed()
    top = Path(tempfile.mkdtemp(prefix="agentstead-test-"))
    egress = Egress(openings=("127.0.0.1",), names={NAME: "127.0.0.1"})
    hands = Bubblewrap(top / "checkouts", clock=SystemClock(), egress=egress)
    yield Checkouts(hands, Bounds(), host.authority)
    assert await hands.reconcile(set()) == []
    shutil.rmtree(top)


async def test_a_checkout_becomes_part_of_a_sandbox_and_stays_the_agents(
    host: GitHost, checkouts: Checkouts
) -> None:
    sha = git(host.root / "work" / "tools", "rev-parse", "HEAD~1")
    async with real_sandboxes() as hands:
        wanted = Wanted(host.url("tools"), {"type": "commit", "sha": sha.upper()})
        async with checkouts.made("c", wanted) as tree:
            await hands.plant("s", tree, "b")
        wanted = Wanted(host.url("tools"), None)
        async with checkouts.made("c", wanted) as tree:
            await hands.plant("s", tree, "a/tools")
            assert not tree.exists()
        async with checkouts.made("c", Wanted(host.url("empty"), None)) as tree:
            await hands.plant("s", tree, "empty")
        said = text(await hands.call("s", SPEC, "1", "bash", {"command": COUNT}))
        assert said == "2\nagent\nagent\nagent"
        look = "cd /workspace; git -C b rev-parse HEAD; git -C empty status -s; readlink a/tools/link; ls a/tools/s"
        said = text(await hands.call("s", SPEC, "2", "bash", {"command": look}))
        assert said.startswith(f"{sha}\n/etc/shadow\nls: cannot access 'a/tools/s'")
        # whatever the agent makes of it, it is not put there again
        change = "cd /workspace; rm -rf b; echo x > a/tools/mine"
        await hands.call("s", SPEC, "3", "bash", {"command": change})
        assert await hands.grown("s", "b")
        for path in ("b", "a/tools"):
            tree = hands.root / "tree"
            (tree / ".git").mkdir(parents=True)
            await hands.plant("s", tree, path)
            shutil.rmtree(tree)
        said = text(await hands.call("s", SPEC, "4", "bash", {"command": "cd /workspace; ls b; cat a/tools/mine"}))  # fmt: skip
        assert "cannot access 'b'" in said
        assert said.endswith("x\n[exit code 2]") is False
        assert "\nx" in said


async def test_nothing_is_put_where_something_lies_nor_through_a_link(tmp_path: Path) -> None:
    await needed()
    async with real_sandboxes() as hands:
        make = "cd /workspace; mkdir -p full empty; touch full/x file; ln -s /tmp out; mkdir -p repo/.git"
        await hands.call("s", SPEC, "1", "bash", {"command": make})
        for path in ("full", "file", "out", "out/below", "file/below"):
            tree = tmp_path / "tree"
            tree.mkdir(exist_ok=True)
            with pytest.raises(FileExistsError, match="is taken"):
                await hands.plant("s", tree, path)
            assert tree.exists()
        assert await hands.grown("s", "repo")
        assert not await hands.grown("s", "empty")
        with pytest.raises(SandboxFault, match="not a path below"):
            await hands.plant("s", tree, "../files")


async def test_a_repository_that_is_too_large_or_too_slow_is_given_up(
    host: GitHost, checkouts: Checkouts
) -> None:
    checkouts.bounds = Bounds(bytes_max=2 << 20)
    with pytest.raises(RepositoryFault, match="larger than the 2 MiB") as large:
        async with checkouts.made("c", Wanted(host.url("large"), None)):
            raise AssertionError("it is too large")
    assert (large.value.kind, large.value.retryable) == ("clone", False)
    checkouts.bounds = Bounds(seconds=1.0)
    host.opened.clear()
    with pytest.raises(RepositoryFault, match="could not be fetched") as slow:
        async with checkouts.made("c", Wanted(host.url("tools"), None)):
            raise AssertionError("it is too slow")
    host.opened.set()
    assert (slow.value.kind, slow.value.retryable) == ("clone", True)


TRY = """\
export https_proxy=$http_proxy
for url in http://{name}:{port}/acme/tools/git-receive-pack http://other.test:{port}/info/refs?service=git-upload-pack \\
  https://{name}:{port}/acme/tools/info/refs?service=git-upload-pack http://{name}:{port}/acme/tools/raw; do
  curl -sS --max-time 5 "$url" 2>&1 | tail -1
done"""


async def test_the_door_leads_to_reading_one_host_only(host: GitHost, checkouts: Checkouts) -> None:
    door = Door(NAME, host.port, "Basic c4nary", host.authority)
    spec = SandboxSpec(SPEC.limits, network=Network("limited", (NAME,), door=door))
    before = len(host.requests)
    command = TRY.format(name=NAME, port=host.port)
    said = text(await checkouts.hands.call("c", spec, "1", "bash", {"command": command}))
    await checkouts.hands.destroy("c")
    assert said.splitlines() == [
        "Only reading with Git's own protocol is possible here.",
        f"Only {host.netloc} can be reached while a repository is checked out.",
        "curl: (56) CONNECT tunnel failed, response 400",
        "Only reading with Git's own protocol is possible here.",
    ]
    assert len(host.requests) == before


async def test_a_private_address_needs_the_operator(host: GitHost, checkouts: Checkouts) -> None:
    checkouts.hands.egress = Egress(names={NAME: "127.0.0.1"})
    with pytest.raises(RepositoryFault, match="an address that is not public") as refused:
        async with checkouts.made("c", Wanted(host.url("tools"), None)):
            raise AssertionError("it is not allowed")
    assert refused.value.kind == "clone"


async def test_old_ones_are_found(checkouts: Checkouts) -> None:
    await checkouts.hands.call("c", SPEC, "1", "bash", {"command": "true"})
    assert await checkouts.old(60.0) == []
    os.utime(checkouts.hands.root / "c" / "lock", (1, 1))
    assert await checkouts.old(60.0) == ["c"]
    await checkouts.hands.destroy("c")
