"""Files of sessions: mounted in a real sandbox, shown to the model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import pytest

from agentstead.store.files import sweep
from tests.conformance.requirements import requirement
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
SCRIPT = {
    "scripts": [
        {
            "when": {"regex": r"(?m)^run (?P<command>.*)$"},
            "turns": [
                {"tools": [{"name": "bash", "input": {"command": "{{match.command}}"}}]},
                {"text": "{{results}}"},
            ],
        },
        {
            "when": {"regex": r"(?m)^edit (?P<path>.*)$"},
            "turns": [
                {
                    "tools": [
                        {
                            "name": "edit",
                            "input": {
                                "file_path": "{{match.path}}",
                                "old_string": "one",
                                "new_string": "two",
                            },
                        }
                    ]
                },
                {"text": "{{results}}"},
            ],
        },
    ],
    "otherwise": "Done.",
}
UPLOADS = "/mnt/session/uploads"


class Talk:
    """One session, and what it says."""

    def __init__(self, server: Running, session: Any) -> None:
        self.client = server.sdk()
        self.server = server
        self.id = session.id

    async def say(self, *content: Any) -> str:
        """Send a message; the last words of its turn."""
        blocks = [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]
        events = self.client.beta.sessions.events
        said: list[str] = []
        async with await events.stream(self.id) as stream:
            await events.send(self.id, events=[{"type": "user.message", "content": blocks}])
            async for event in stream:
                if event.type == "agent.message":
                    said.append(event.content[0].text)
                if event.type == "session.error":
                    raise AssertionError(event.error.message)
                if event.type == "session.status_idle":
                    return said[-1]
        raise AssertionError("the stream ended")

    async def run(self, command: str) -> str:
        return await self.say(f"run {command}")

    async def scoped(self) -> list[Any]:
        """The session's files, newest first."""
        return [one async for one in self.client.beta.files.list(scope_id=self.id)]


async def session(server: Running, **more: Any) -> Talk:
    client = server.sdk()
    agent = await client.beta.agents.create(name="a", model=MODEL, tools=TOOLSET)
    environment = await client.beta.environments.create(name="e")
    made = await client.beta.sessions.create(agent=agent.id, environment_id=environment.id, **more)
    return Talk(server, made)


@asynccontextmanager
async def working(database_url: str, **settings: Any) -> AsyncIterator[Running]:
    await needed()
    async with (
        real_sandboxes() as hands,
        serving(database_url, workers=1, script=SCRIPT, sandbox=hands, **settings) as server,
    ):
        yield server


async def uploaded(server: Running, name: str, body: bytes) -> str:
    return str((await server.sdk().files.upload(file=(name, body))).id)


def resource(file_id: str, path: str | None = None) -> Any:
    given = {"type": "file", "file_id": file_id}
    return given if path is None else {**given, "mount_path": path}


@requirement("files:copies", "files:mounted", "files:told")
async def test_files_lie_where_the_rules_put_them(database_url: str) -> None:
    async with working(database_url) as server:
        one = await uploaded(server, "sales.csv", b"one\n")
        two = await uploaded(server, "two.txt", b"two\n")
        talk = await session(
            server,
            resources=[
                resource(one, "calc/deep.py"),
                resource(one, f"{UPLOADS}/sales.csv"),
                resource(two, "/mnt/user-data/x.md"),
                resource(two),
            ],
        )
        places = [
            f"{UPLOADS}/calc/deep.py", f"{UPLOADS}/sales.csv", f"{UPLOADS}/mnt/user-data/x.md",
            f"{UPLOADS}/{two}",
        ]  # fmt: skip
        assert await talk.run(f"cat {' '.join(places)}") == "one\none\ntwo\ntwo"
        system = server.asked[0].system[0]["text"] + server.asked[0].system[-1]["text"]
        assert all(place in system for place in places)
        copies = await talk.scoped()
        assert sorted((file.filename, file.size_bytes) for file in copies) == [
            ("sales.csv", 4), ("sales.csv", 4), ("two.txt", 4), ("two.txt", 4),
        ]  # fmt: skip
        assert {file.scope.id for file in copies} == {talk.id}
        assert not {one, two} & {file.id for file in copies}
        assert [file.downloadable for file in copies] == [False] * 4
        # The originals may go, the copies stay; they are no files of their own to delete.
        for file_id in (one, two):
            await talk.client.files.delete(file_id)
        assert await talk.run(f"cat {UPLOADS}/sales.csv") == "one"
        with pytest.raises(anthropic.BadRequestError, match="mounted in session"):
            await talk.client.files.delete(copies[0].id)
        await talk.client.beta.sessions.delete(talk.id)
        assert await talk.scoped() == []
        await sweep(server.database, server.services.blobs, grace_seconds=0)
        assert [path for path in server.folder.rglob("*") if path.is_file()] == []


CHANGES = (
    "echo x > {0}", "rm {0}", "chmod 777 {0}", "touch {0}", "mv {0} /tmp/x", "ln {0} /workspace/x",
    "touch {1}/new", "chmod 777 {1}", "mount -o remount,rw {1}", "umount {1}",
    "python3 -c \"import os; f=os.open('{0}',os.O_RDONLY); os.open(f'/proc/self/fd/{{f}}',os.O_RDWR)\"",
    "python3 -c \"import os; f=os.open('{0}',os.O_RDONLY);"
    " os.link(f'/proc/self/fd/{{f}}','/workspace/y',follow_symlinks=True)\"",
)  # fmt: skip


@requirement("files:mounted")
async def test_nobody_inside_can_change_a_file(database_url: str) -> None:
    async with working(database_url) as server:
        file_id = await uploaded(server, "a.txt", b"one\n")
        talk = await session(server, resources=[resource(file_id, "a.txt")])
        path = f"{UPLOADS}/a.txt"
        for change in CHANGES:
            said = await talk.run(change.format(path, UPLOADS) + "; echo ended $?")
            assert "ended 0" not in said, change
        refused = await talk.say(f"edit {path}")
        assert "permission denied" in refused or "read-only" in refused
        assert await talk.run(f"cp {path} /workspace/b && echo more >> b && cat b {path}") == (
            "one\nmore\none"
        )
        bodies = [path.read_bytes() for path in server.folder.rglob("*") if path.is_file()]
        assert bodies.count(b"one\n") == 1, "the body was changed"
        # Where the body lies on the host is not to be seen.
        assert str(server.folder) not in await talk.run(
            "cat /proc/self/mountinfo; ls -la /proc/1/fd"
        )
        assert "blob" not in await talk.run("cat /proc/self/mountinfo")


@requirement("files:live", "files:told")
async def test_files_come_and_go_while_the_sandbox_runs(database_url: str) -> None:
    async with working(database_url) as server:
        resources = server.sdk().beta.sessions.resources
        talk = await session(server)
        before = await talk.run("echo $$")
        one = await uploaded(server, "one.txt", b"one\n")
        added = await resources.add(talk.id, type="file", file_id=one, mount_path="data/one.txt")
        assert added.file_id != one
        path = f"{UPLOADS}/data/one.txt"
        assert await talk.run(f"cat {path}; echo $$") == f"one\n{before}"
        told = str(server.asked[-1].messages)
        assert f"<system>Now mounted read-only: {path}</system>" in told
        assert path not in str(server.asked[-1].system)
        assert len([one async for one in resources.list(talk.id)]) == 1
        await resources.delete(added.id, session_id=talk.id)
        assert await talk.run(f"ls -A {UPLOADS}; echo $$") == before
        assert f"No longer mounted: {path}" in str(server.asked[-1].messages)
        assert await talk.scoped() == []
        # The same path again, with another body.
        two = await uploaded(server, "two.txt", b"two\n")
        await resources.add(talk.id, type="file", file_id=two, mount_path="data/one.txt")
        assert await talk.run(f"cat {path}") == "two"
        # What was told stays told: the conversation only grows.
        first, last = server.asked[-3].messages, server.asked[-1].messages
        assert [bare(one) for one in last[: len(first) - 1]] == [bare(one) for one in first[:-1]]


def bare(message: Any) -> Any:
    """A message without its cache marks."""
    blocks = [{k: v for k, v in one.items() if k != "cache_control"} for one in message["content"]]
    return {**message, "content": blocks}


@requirement("files:live")
async def test_a_file_is_there_after_the_sandbox_was_lost(database_url: str) -> None:
    async with working(database_url) as server:
        file_id = await uploaded(server, "a.txt", b"one\n")
        talk = await session(server, resources=[resource(file_id, "a.txt")])
        assert await talk.run(f"cat {UPLOADS}/a.txt") == "one"
        await talk.run("kill -9 -1")
        assert "one" in await talk.run(f"cat {UPLOADS}/a.txt")


PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 16


@requirement("files:blocks")
async def test_blocks_name_files(database_url: str) -> None:
    async with working(database_url) as server:
        image = await uploaded(server, "a.png", PNG)
        pdf = await uploaded(server, "a.pdf", b"%PDF-1.7")
        words = await uploaded(server, "a.md", "grün".encode())
        talk = await session(
            server,
            initial_events=[
                {
                    "type": "user.message",
                    "content": [
                        {"type": "image", "source": {"type": "file", "file_id": image}},
                        {
                            "type": "document",
                            "source": {"type": "file", "file_id": pdf},
                            "title": "T",
                        },
                        {"type": "document", "source": {"type": "file", "file_id": words}},
                        {"type": "text", "text": "Look."},
                    ],
                }
            ],
        )
        await talk.say("And?")
        blocks = server.asked[-1].messages[0]["content"]
        assert blocks[0]["source"] == {
            "type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoAAAAAAAAAAAAAAAAAAAAA",
        }  # fmt: skip
        assert (blocks[1]["source"]["media_type"], blocks[1]["title"]) == ("application/pdf", "T")
        assert blocks[2]["source"] == {"type": "text", "media_type": "text/plain", "data": "grün"}
        # The log keeps the ids; a file that is deleted is spoken of, and the conversation goes on.
        events = [one async for one in talk.client.beta.sessions.events.list(talk.id)]
        assert events[0].content[0].source.file_id == image
        await talk.client.files.delete(image)
        await talk.say("And now?")
        gone = server.asked[-1].messages[0]["content"][0]
        assert gone["type"] == "text"
        assert "has been deleted" in gone["text"]


@requirement("files:blocks")
async def test_what_cannot_be_shown_is_refused(server: Running, client: Any, session: Any) -> None:
    image = await uploaded(server, "a.png", PNG)
    empty = await uploaded(server, "e.md", b"")
    program = await uploaded(server, "a.bin", b"\x00\x01")
    large = await uploaded(server, "l.txt", b"x" * ((20 << 20) + 1))

    def block(kind: str, file_id: str) -> Any:
        return {"type": kind, "source": {"type": "file", "file_id": file_id}}

    for wrong, words in (
        (block("image", "file_none"), 'There is no file "file_none"'),
        (block("image", program), "An image is one of"),
        (block("document", image), "A document is a PDF or text"),
        (block("document", empty), "The file is empty"),
        (block("document", large), "at most 20971520 can be shown"),
    ):
        message: Any = {"type": "user.message", "content": [{"type": "text", "text": "x"}, wrong]}
        for send in (
            client.beta.sessions.events.send(session.id, events=[message]),
            client.beta.sessions.create(
                agent=session.agent.id,
                environment_id=session.environment_id,
                initial_events=[message],
            ),
        ):
            with pytest.raises(anthropic.BadRequestError, match=words) as refused:
                await send
            path = refused.value.body["error"]["message"].split(":")[0]
            assert path.endswith("s.0.content.1.source.file_id")
    assert [one async for one in client.beta.sessions.events.list(session.id)] == []
    many = [block("document", large)] * 101
    with pytest.raises(anthropic.BadRequestError, match="At most 100 documents"):
        await client.beta.sessions.create(
            agent=session.agent.id,
            environment_id=session.environment_id,
            initial_events=[{"type": "user.message", "content": many}],
        )


@requirement("files:copies")
async def test_only_files_of_the_workspace_are_copied(
    server: Running, client: Any, session: Any
) -> None:
    await server.database.execute("insert into workspaces (id, name) values ('wrkspc_b', 'b')")
    file_id = await uploaded(server, "a.txt", b"x")
    await server.database.execute("update blobs set workspace_id = 'wrkspc_b'")
    await server.database.execute("update files set workspace_id = 'wrkspc_b'")
    gone = await uploaded(server, "b.txt", b"x")
    await server.database.execute(
        "update files set expires_at = now() - interval '1 second' where id = %s", (gone,)
    )
    for one in (file_id, gone):
        with pytest.raises(anthropic.BadRequestError, match="file_id: There is no file"):
            await client.beta.sessions.resources.add(session.id, type="file", file_id=one)
        with pytest.raises(anthropic.BadRequestError, match=r"resources\.0\.file_id: There is no"):
            await client.beta.sessions.create(
                agent=session.agent.id,
                environment_id=session.environment_id,
                resources=[resource(one)],
            )
    for call in (client.files.retrieve_metadata, client.files.download, client.files.delete):
        with pytest.raises(anthropic.NotFoundError):
            await call(file_id)
    assert await server.database.fetch("select 1 from files where session_id is not null") == []
