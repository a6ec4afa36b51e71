"""A server that is killed while it saves or restores what an agent made, and what is left to tidy up."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentstead.sandbox.packages.layers import ABOUT, TREE, Layers
from tests.support.processes import Platform, quick_platform, run
from tests.support.sandboxes import gone, needed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.xdist_group("processes")]

SIZE = 48 << 20
WRITE = f"head -c {SIZE} /dev/urandom > large; echo kept > small; cksum large"
SCRIPT = {
    "scripts": [
        {
            "when": {"regex": r"(?m)^run (?P<command>.*)$"},
            "turns": [
                {"tools": [{"name": "bash", "input": {"command": "{{match.command}}"}}]},
                {"text": "{{results}}"},
            ],
        }
    ]
}


def a_layer(root: Path) -> Path:
    """Packages that were used long ago."""
    layers = Layers(root)
    lock = layers.lock("unusedlayer")
    assert lock is not None
    tree = layers.draft("unusedlayer") / TREE
    tree.mkdir()
    (tree / "file").write_text("x")
    layers.publish("unusedlayer", {"pip": ["it"]}, 1.0)
    os.close(lock)
    os.utime(root / "unusedlayer" / ABOUT, (1, 1))
    return root / "unusedlayer"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Platform]:
    asyncio.run(needed())
    (tmp_path / "scenario.json").write_text(json.dumps(SCRIPT))
    with quick_platform(scripted_file=str(tmp_path / "scenario.json")) as made:
        made.serve()
        yield made


def until(true: Callable[[], object], what: str) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.002)


def begun(place: Platform) -> str:
    """A session."""
    beta = place.client().beta
    agent = beta.agents.create(
        name="a", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
    )
    return beta.sessions.create(
        agent=agent.id, environment_id=beta.environments.create(name="e").id
    ).id


def send(place: Platform, session: str, command: str) -> None:
    content: list[Any] = [{"type": "text", "text": f"run {command}"}]
    place.client().beta.sessions.events.send(
        session, events=[{"type": "user.message", "content": content}]
    )


def said(place: Platform, session: str, turns: int) -> str:
    """The last words once so many turns are over."""
    events = place.client().beta.sessions.events

    def over() -> bool:
        found = [event.type for event in events.list(session, limit=1000)]
        return found.count("session.status_idle") == turns

    until(over, "the turn goes on")
    messages = [one for one in events.list(session, limit=1000) if one.type == "agent.message"]
    return str(messages[-1].content[0].text)


def killed(place: Platform) -> None:
    assert place.server is not None
    place.server.kill()
    (place.data_dir / "serve.json").unlink(missing_ok=True)


def lose(place: Platform, session: str) -> None:
    """The sandbox and all that is in it, as if this were another host."""
    folder = place.data_dir / "sandboxes" / session
    supervisor = int((folder / "lock").read_text())
    os.kill(supervisor, 9)
    asyncio.run(gone(supervisor))
    uid = json.loads((folder / "meta.json").read_text())["uid"]
    shutil.rmtree(folder)
    (place.data_dir / "sandboxes" / ".uids" / str(uid)).unlink(missing_ok=True)


def test_a_server_dies_while_it_saves_and_while_it_restores(place: Platform) -> None:
    session = begun(place)
    folder = place.data_dir / "sandboxes" / session
    bodies = place.data_dir / "blobs"
    send(place, session, WRITE)
    until(lambda: list((bodies / ".incoming").glob("*")), "nothing is saved")
    killed(place)
    drafts = list((bodies / ".incoming").glob("*"))
    assert drafts  # it was in the middle of it
    assert [path for path in bodies.rglob("*") if path.is_file()] == drafts

    place.serve()
    send(place, session, "cksum large; cat small")
    # nothing is lost, and nothing was: the sandbox outlives the server
    words = said(place, session, 2)
    assert "made again" not in words
    checksum = words.split()[0]
    until(lambda: "stamp" in (folder / "saved.json").read_text(), "nothing is saved")

    lose(place, session)
    send(place, session, "cksum large; cat small")
    large = folder / "files" / "workspace" / "large"
    until(lambda: large.exists() and large.stat().st_size > 1 << 20, "nothing is restored")
    killed(place)
    assert not (folder / "saved.json").exists()  # it was in the middle of it
    place.serve()
    words = said(place, session, 3)
    assert "the sandbox was made again from its checkpoint of" in words
    assert words.rstrip().endswith(f"{checksum} {SIZE} large\nkept")
    events = place.client().beta.sessions.events.list(session, limit=1000)
    assert [one.type for one in events].count("agent.tool_result") == 3


def test_a_call_that_ran_on_a_host_that_is_lost_is_not_made_again(place: Platform) -> None:
    session = begun(place)
    sandboxes = place.data_dir / "sandboxes"
    notes = sandboxes / session / "files" / "workspace" / "notes"
    send(place, session, "echo began >> notes; sleep 60")
    until(lambda: notes.exists() and notes.read_text() == "began\n", "the call does not begin")
    killed(place)
    lose(place, session)
    (sandboxes / ".host").unlink()

    place.serve()
    assert "The outcome of this call is not known" in said(place, session, 1)
    assert not notes.exists()
    send(place, session, "ls; echo here")
    words = said(place, session, 2)
    assert "the sandbox was lost and it was never saved" in words
    assert words.rstrip().endswith("\nhere")


def test_what_is_left_over_is_told_and_then_deleted(place: Platform) -> None:
    at = ("--data-dir", str(place.data_dir))
    session = begun(place)
    send(place, session, "echo kept > small")
    said(place, session, 1)
    saved = place.data_dir / "sandboxes" / session / "saved.json"
    until(lambda: saved.exists() and "stamp" in saved.read_text(), "nothing is saved")
    told = run("tidy", "--dry-run", *at, seconds=60)
    assert (told.returncode, told.stdout) == (0, ""), told.stderr
    assert "0 to delete, 0 bytes" in told.stderr
    assert place.server is not None
    place.server.stop()
    lost = place.data_dir / "blobs" / "zz" / "blob_lostzz"
    lost.parent.mkdir()
    lost.write_bytes(b"half")
    os.utime(lost, (1, 1))
    layer = a_layer(place.data_dir / "layers")
    # while no server runs the database is started for it, and rests again
    unused = {"AGENTSTEAD_SANDBOX_EVICT_SECONDS": "0.001"}
    told = run("tidy", "--dry-run", *at, seconds=60, **unused)
    assert told.returncode == 0, told.stderr
    sandbox, body, packages = told.stdout.splitlines()
    assert sandbox.startswith(f"sandbox    {session}  ")
    assert sandbox.endswith("unused for long; it is saved first, and restored by the next call")
    assert body == "body       blob_lostzz  4  an upload or a checkpoint that was cut off"
    assert packages.startswith("packages   unusedlayer  ")
    assert "no sandbox has used them for long" in packages
    assert lost.exists()
    assert saved.exists()
    assert layer.exists()
    done = run("tidy", *at, seconds=60, **unused)
    assert (done.returncode, done.stdout) == (0, told.stdout), done.stderr
    assert "deleted: 3, " in done.stderr
    assert not lost.exists()
    assert not layer.exists()
    assert not saved.parent.exists()
    (place.data_dir / "serve.json").unlink(missing_ok=True)
    place.serve()
    send(place, session, "cat small")
    assert said(place, session, 2).rstrip().endswith("kept")
    client = place.client()
    client.beta.sessions.archive(session)
    place.server.stop()  # before it tidies up by itself
    assert not saved.parent.exists()
    told = run("tidy", "--dry-run", *at, seconds=60)
    checkpoint, *_ = told.stdout.splitlines()
    assert checkpoint.startswith(f"checkpoint {session}/1  ")
    assert checkpoint.endswith("its session is deleted, archived or terminated")
    assert run("tidy", *at, seconds=60).stdout == told.stdout
    assert run("tidy", "--dry-run", *at, seconds=60).stdout == ""
    assert [path for path in (place.data_dir / "blobs").rglob("*") if path.is_file()] == []
