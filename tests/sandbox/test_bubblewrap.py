"""Sandboxes of this host for real: the shell, limits of a call, and who survives whom."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.clock import SystemClock
from agentstead.errors import SandboxFault
from agentstead.sandbox import link
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.sandbox import Limits, Mount, Outcome, SandboxSpec
from tests.support.sandboxes import SPEC, alive, gone, needed, real_sandboxes, supervisor_pid, text

ID = "sesn_test"


@pytest.fixture(params=[True, False], ids=["in C", "in Python"])
async def sandboxes(request: pytest.FixtureRequest) -> AsyncIterator[Bubblewrap]:
    """With each of the two runners: one contract."""
    await needed()
    async with real_sandboxes(native=request.param) as real:
        yield real


class Calls:
    """Calls with ids of their own."""

    def __init__(self, sandboxes: Bubblewrap) -> None:
        self.sandboxes = sandboxes
        self.count = 0

    async def __call__(self, tool: str, spec: SandboxSpec = SPEC, **given: Any) -> Outcome:
        self.count += 1
        return await self.sandboxes.call(ID, spec, f"call_{self.count}", tool, given)

    async def bash(self, command: str, spec: SandboxSpec = SPEC, **given: Any) -> str:
        return text(await self("bash", spec, command=command, **given))


@pytest.fixture
def calls(sandboxes: Bubblewrap) -> Calls:
    return Calls(sandboxes)


async def test_the_shell_keeps_its_directory_and_variables(calls: Calls) -> None:
    assert await calls.bash("pwd") == "/workspace"
    assert await calls.bash("cd /tmp; export COLOUR=blue; f() { echo called; }") == "(no output)"
    assert await calls.bash("pwd; echo $COLOUR; f") == "/tmp\nblue\ncalled"
    assert text(await calls("bash", restart=True)) == "bash session restarted"
    assert await calls.bash("pwd; echo $COLOUR") == "/workspace"


@pytest.mark.parametrize(
    ("command", "said", "failed"),
    [
        ("echo out; echo err >&2; echo out", "out\nerr\nout", False),
        ("cat; read x; echo end", "end", False),
        ("false", "[exit code 1]", True),
        ("echo some; (exit 7)", "some\n[exit code 7]", True),
        ("printf '\\033[31mred\\033[0m\\033]0;title\\007'", "red", False),
        ("printf 'a\\0b\\xff'", "a�b�", False),
        ("cat <<'X'\nit's \"quoted\" $HOME\nX", 'it\'s "quoted" $HOME', False),
        ("(exit 139)", "[exit code 139, SIGSEGV]", True),
        ("exec 7>&1; echo x >&198", None, True),
    ],
)
async def test_what_a_command_gives(
    calls: Calls, command: str, said: str | None, failed: bool
) -> None:
    outcome = await calls("bash", command=command)
    assert outcome.is_error == failed
    if said is not None:
        assert text(outcome) == said


async def test_a_broken_command_does_not_break_the_shell(calls: Calls) -> None:
    async with asyncio.timeout(5):
        assert "unexpected EOF" in await calls.bash("echo 'open")
        assert "syntax error" in await calls.bash("if true; then )")
        assert await calls.bash("echo fine") == "fine"


async def test_a_shell_that_ends_is_replaced_and_said(calls: Calls) -> None:
    said = await calls("bash", command="export GONE=1; echo bye; exit 3")
    assert said.is_error
    assert text(said).startswith("bye\n[the shell ended; the next bash call gets a new shell")
    assert await calls.bash("echo $GONE.") == "."
    assert "the shell ended" in await calls.bash("kill -9 $$")
    assert await calls.bash("echo fine") == "fine"


async def test_a_command_that_takes_too_long_is_ended(calls: Calls) -> None:
    begun = time.monotonic()
    said = await calls(
        "bash", command="trap '' TERM INT; echo before; sleep 30; echo after", timeout_ms=300
    )
    assert time.monotonic() - begun < 3
    assert said.is_error
    assert text(said).startswith("before\n[the command timed out after 0.3 s and was ended")
    assert await calls.bash("pgrep -c sleep") == "0\n[exit code 1]"


async def test_a_background_process_holds_nobody_up(calls: Calls) -> None:
    begun = time.monotonic()
    assert await calls.bash("(sleep 0.4; echo late) & echo now") == "now"
    assert time.monotonic() - begun < 2
    await asyncio.sleep(0.6)
    assert await calls.bash("echo next") == "late\nnext"
    assert await calls.bash("yes > /dev/null & echo started") == "started"


async def test_only_the_last_part_of_long_output_is_kept(calls: Calls) -> None:
    said = await calls.bash("seq 1 200000")
    mark = re.match(r"\[output truncated: (\d+) earlier bytes left out\]\n", said)
    assert mark is not None
    assert said.endswith("\n199999\n200000")
    assert len(said) <= (100 << 10) + 100
    assert int(mark.group(1)) + len(said) - mark.end() + 1 == len(
        "".join(f"{number}\n" for number in range(1, 200001))
    )
    endless = await calls.bash("yes", timeout_ms=500)
    assert "timed out" in endless
    assert len(endless) <= (100 << 10) + 400


async def test_a_long_command_arrives_whole(calls: Calls) -> None:
    long = "x" * 300_000
    assert await calls.bash(f"x='{long}'; echo ${{#x}}") == "300000"


async def test_shell_calls_run_in_order_and_file_tools_beside_them(calls: Calls) -> None:
    await calls.bash("true")
    slow = [
        asyncio.create_task(calls.bash(f"sleep 0.3; echo {number} >> order")) for number in range(3)
    ]
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    await asyncio.gather(*(calls("write", file_path=f"f{n}", content="x") for n in range(5)))
    assert time.monotonic() - begun < 0.3
    await asyncio.gather(*slow)
    assert await calls.bash("cat order") == "0\n1\n2"


async def test_a_waiting_call_can_be_cancelled(sandboxes: Bubblewrap, calls: Calls) -> None:
    await calls.bash("true")
    running = asyncio.create_task(calls.bash("sleep 0.6; echo ran"))
    await asyncio.sleep(0.2)
    waiting = asyncio.create_task(
        sandboxes.call(ID, SPEC, "waiting", "bash", {"command": "touch ran"})
    )
    await asyncio.sleep(0.1)
    await sandboxes.cancel(ID, "waiting")
    assert (await waiting).is_error
    assert await running == "ran"
    assert await calls.bash("ls") == "(no output)"


async def test_a_cancelled_command_is_killed_and_the_next_is_told(
    sandboxes: Bubblewrap, calls: Calls
) -> None:
    await calls.bash("true")
    running = asyncio.create_task(
        sandboxes.call(ID, SPEC, "long", "bash", {"command": "sleep 31; touch after"})
    )
    await asyncio.sleep(0.3)
    await sandboxes.cancel(ID, "long")
    assert text(await running) == "The call was cancelled."
    said = await calls.bash("pgrep -c sleep")
    assert said.startswith("[the call before this one was cancelled; this is a new shell]\n0")


async def test_there_is_no_network_and_it_is_said(calls: Calls) -> None:
    said = await calls.bash("curl -s -i http://example.com/; curl -sS https://example.com/")
    assert "HTTP/1.1 403 This sandbox has no network access" in said
    assert "nothing outside of it can be reached" in said
    assert "403" in said.splitlines()[-2]


async def test_writable_places_run_programs_and_uploads_cannot_be_changed(
    sandboxes: Bubblewrap, calls: Calls
) -> None:
    """clients rules 15 and 16."""
    for folder in ("/mnt/user", "/tmp", "/workspace", "/mnt/session/outputs"):
        path = f"{folder}/run.sh"
        done = await calls("write", file_path=path, content="#!/bin/sh\necho ran\n")
        assert not done.is_error
        assert await calls.bash(f"chmod +x {path} && {path}") == "ran"
    upload = sandboxes.root / ID / "files" / "uploads" / "given.txt"
    upload.write_text("given")
    assert text(await calls("read", file_path="/mnt/session/uploads/given.txt")) == "given"
    for tool, more in (
        ("edit", {"old_string": "given", "new_string": "x"}),
        ("write", {"content": "x"}),
    ):
        refused = await calls(tool, file_path="/mnt/session/uploads/given.txt", **more)
        assert refused.is_error
        assert "read-only" in text(refused) or "permission denied" in text(refused)


async def test_mounts_and_variables_of_the_spec(sandboxes: Bubblewrap, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "data").write_text("mounted")
    (tmp_path / "file").write_text("single")
    mounts = (
        Mount(str(tmp_path / "in"), "/mnt/data"),
        Mount(str(tmp_path / "file"), "/mnt/session/uploads/deep/er.txt"),
    )
    spec = SandboxSpec(SPEC.limits, mounts, {"GIVEN": "value"})
    calls = Calls(sandboxes)
    said = await calls.bash(
        "cat /mnt/data/data /mnt/session/uploads/deep/er.txt; echo $GIVEN; touch /mnt/data/x", spec
    )
    assert said.startswith("mountedsinglevalue\n")
    assert "Read-only file system" in said


async def test_a_sandbox_that_cannot_start_says_why(sandboxes: Bubblewrap) -> None:
    spec = SandboxSpec(SPEC.limits, (Mount("/no/such/thing", "/mnt/x"),))
    with pytest.raises(SandboxFault) as fault:
        await sandboxes.call(ID, spec, "1", "bash", {"command": "true"})
    assert fault.value.kind == "start"
    assert "/no/such/thing does not exist" in fault.value.message
    # nothing was begun: with a spec that works the same call runs
    outcome = await sandboxes.call(ID, SPEC, "1", "bash", {"command": "echo now"})
    assert text(outcome) == "now"


async def test_files_survive_the_supervisor_and_the_shell_says_it_is_new(
    sandboxes: Bubblewrap, calls: Calls
) -> None:
    await calls.bash("echo kept > file; echo kept > /tmp/file; export GONE=1; sleep 60 &")
    pid = supervisor_pid(sandboxes, ID)
    os.kill(pid, signal.SIGKILL)
    await gone(pid)
    said = await calls.bash("cat file /tmp/file; echo $GONE.; pgrep -c sleep")
    assert said.startswith("[the sandbox was started again: files are as they were")
    assert said.split("\n", 1)[1] == "kept\nkept\n.\n0\n[exit code 1]"


WORKER = """
import asyncio, sys
from pathlib import Path
from agentstead.clock import SystemClock
from agentstead.sandbox import link
from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.sandbox import SandboxSpec
async def main():
    sandboxes = Bubblewrap(Path(sys.argv[1]), clock=SystemClock())
    command = {"command": "echo begun >> marks; sleep 1; echo done"}
    outcome = await sandboxes.call(sys.argv[2], SandboxSpec(), "call", "bash", command)
    print(outcome.content[0]["text"])
asyncio.run(main())
"""


async def worker(sandboxes: Bubblewrap) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, str(sandboxes.root), ID),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


async def test_a_killed_worker_ends_nothing(sandboxes: Bubblewrap) -> None:
    first = await worker(sandboxes)
    marks = sandboxes.root / ID / "files" / "workspace" / "marks"
    async with asyncio.timeout(10):
        while not marks.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        os.killpg(first.pid, signal.SIGKILL)
        await first.communicate()
        second = await worker(sandboxes)
        output, _ = await second.communicate()
    assert output == b"done\n"
    assert marks.read_text() == "begun\n"


async def test_workers_that_race_for_a_sandbox_share_one(sandboxes: Bubblewrap) -> None:
    racers = [await worker(sandboxes) for _ in range(3)]
    async with asyncio.timeout(20):
        outputs = [(await racer.communicate())[0] for racer in racers]
    assert outputs == [b"done\n"] * 3
    marks = sandboxes.root / ID / "files" / "workspace" / "marks"
    assert marks.read_text() == "begun\n"


async def test_a_sandbox_nobody_renews_ends_itself() -> None:
    await needed()
    async with real_sandboxes(idle_seconds=1.0) as sandboxes:
        calls = Calls(sandboxes)
        await calls.bash("echo kept > file")
        pid = supervisor_pid(sandboxes, ID)
        for _ in range(8):
            await asyncio.sleep(0.2)
            await sandboxes.keep([ID])
        assert alive(pid)
        await gone(pid)
        assert (await calls.bash("cat file")).endswith("kept")


async def test_a_long_path_to_the_sandboxes_is_no_matter(tmp_path: Path) -> None:
    await needed()
    deep = tmp_path.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
    sandboxes = Bubblewrap(deep, clock=SystemClock())
    outcome = await sandboxes.call(ID, SPEC, "1", "bash", {"command": "echo fine"})
    await sandboxes.destroy(ID)
    assert text(outcome) == "fine"


async def test_many_calls_at_once_start_one_sandbox(calls: Calls) -> None:
    outcomes = await asyncio.gather(
        *(calls("write", file_path=f"f{number}", content="x") for number in range(12))
    )
    assert not any(outcome.is_error for outcome in outcomes)
    assert len((await calls.bash("ls")).split()) == 12


async def test_the_processor_is_limited(sandboxes: Bubblewrap) -> None:
    probe = await sandboxes.probe()
    if not probe.limits.startswith("cgroup"):
        pytest.skip("needs root: processor time is limited by control groups only")
    spec = SandboxSpec(Limits(cpus=0.25, call_seconds=20.0))
    spin = "for i in 1 2; do timeout 1.5 sh -c 'while :; do :; done' & done; wait; times | tail -1"
    said = await Calls(sandboxes).bash(spin, spec)
    minutes, seconds = re.findall(r"(\d+)m([\d.]+)s", said)[0]
    assert int(minutes) * 60 + float(seconds) < 1.0


async def test_without_room_for_the_journal_a_call_is_refused_and_may_come_again(
    sandboxes: Bubblewrap, calls: Calls
) -> None:
    if os.geteuid() == 0:
        pytest.skip("needs a plain user: root writes to folders that are read-only")
    await calls.bash("true")
    journal = sandboxes.root / ID / "journal"
    journal.chmod(0o500)
    refused = await sandboxes.call(ID, SPEC, "once", "bash", {"command": "echo ran"})
    journal.chmod(0o700)
    assert refused.is_error
    assert text(refused) == "bash: not run: the host cannot write its journal: Permission denied"
    again = await sandboxes.call(ID, SPEC, "once", "bash", {"command": "echo ran"})
    assert text(again) == "ran"


async def test_a_caller_that_goes_away_while_it_starts_leaves_a_sandbox_that_works(
    sandboxes: Bubblewrap, calls: Calls
) -> None:
    hasty = asyncio.create_task(calls.bash("echo hasty"))
    await asyncio.sleep(0.03)
    hasty.cancel()
    await asyncio.gather(hasty, return_exceptions=True)
    assert await calls.bash("echo patient") == "patient"


async def test_a_worker_killed_while_it_starts_is_followed_by_another(
    sandboxes: Bubblewrap,
) -> None:
    for delay in (0.1, 0.2, 0.3, 0.4):
        first = await worker(sandboxes)
        await asyncio.sleep(delay)
        os.killpg(first.pid, signal.SIGKILL)
        await first.communicate()
    async with asyncio.timeout(20):
        last = await worker(sandboxes)
        output, _ = await last.communicate()
    assert output == b"done\n"
    marks = sandboxes.root / ID / "files" / "workspace" / "marks"
    assert marks.read_text() == "begun\n"


async def test_nonsense_on_the_socket_hurts_nobody(sandboxes: Bubblewrap, calls: Calls) -> None:
    await calls.bash("cd /tmp")
    for request in ({"op": "call"}, {}, [], {"op": "call", "id": 1}, {"op": "no such thing"}):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                assert not await link.ask(sandboxes.root / ID, request)
    for tool_input in ({}, {"command": 7}, {"command": "x", "timeout_ms": "long"}):
        with contextlib.suppress(SandboxFault):
            await calls("bash", **tool_input)
        with contextlib.suppress(SandboxFault):
            await calls("read", **tool_input)
    assert await calls.bash("pwd") == "/tmp"


async def test_root_without_the_right_to_mount_needs_a_reachable_folder(
    sandboxes: Bubblewrap,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: drops one of its capabilities")
    program = [sys.executable, "-c", WORKER, str(sandboxes.root), ID]
    limited = ["setpriv", "--bounding-set", "-sys_admin", *program]
    for mode, said in ((0o700, b"Can't find source path"), (0o755, b"done")):
        sandboxes.root.parent.chmod(mode)
        process = await asyncio.create_subprocess_exec(
            *limited, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert said in output


async def test_a_sandbox_whose_folder_is_deleted_ends_itself() -> None:
    await needed()
    async with real_sandboxes(idle_seconds=1.0) as sandboxes:
        await Calls(sandboxes).bash("true")
        pid = supervisor_pid(sandboxes, ID)
        groups = json.loads((sandboxes.root / ID / "meta.json").read_text())["groups"]
        shutil.rmtree(sandboxes.root / ID)
        await gone(pid)
        assert not any(map(os.path.exists, groups))
