"""What agents hand over, in a real sandbox: listed the moment the session is idle."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from anthropic import NotFoundError

from tests.conformance.requirements import requirement
from tests.conformance.test_session_files import UPLOADS, resource, session, uploaded, working

OUT = "/mnt/session/outputs"


@requirement("files:outputs")
async def test_outputs_are_there_when_the_session_is_idle(database_url: str) -> None:
    async with working(database_url) as server:
        file_id = await uploaded(server, "sales.csv", b"a,b\n")
        talk = await session(server, resources=[resource(file_id)])
        await talk.run(f"cd {OUT}; echo '<h1>Hi</h1>' > report.html; sleep 0.02; mkdir -p charts/q1;"
                       " printf '\\x89PNG\\r\\n\\x1a\\n' > charts/q1/sales.png")  # fmt: skip
        # One list, at once, as clients do: it holds outputs and inputs, newest first.
        files = await talk.scoped()
        assert [(one.filename, one.mime_type, one.size_bytes, one.downloadable) for one in files] == [
            ("sales.png", "image/png", 8, True),
            ("report.html", "text/html", 12, True),
            ("sales.csv", "text/csv", 4, False),
        ]  # fmt: skip
        assert {one.scope.id for one in files} == {talk.id}
        assert await (await talk.client.files.download(files[1].id)).read() == b"<h1>Hi</h1>\n"
        assert (
            await (await talk.client.beta.files.download(files[0].id)).read()
            == b"\x89PNG\r\n\x1a\n"
        )
        # They outlive the sandbox, and end with the session.
        await talk.client.beta.sessions.archive(talk.id)
        assert [one.id for one in await talk.scoped()] == [one.id for one in files]
        await talk.client.beta.sessions.delete(talk.id)
        assert await talk.scoped() == []
        with pytest.raises(NotFoundError):
            await talk.client.files.download(files[0].id)


@requirement("files:outputs-again")
async def test_a_rewritten_output_is_one_file(database_url: str) -> None:
    async with working(database_url) as server:
        talk = await session(server)
        await talk.run(f"cd {OUT}; echo one > a.txt; sleep 0.02; echo two > b.txt")
        b, a = await talk.scoped()
        assert (a.filename, b.filename) == ("a.txt", "b.txt")
        await talk.run(f"cat {UPLOADS}/none")
        assert [one.id for one in await talk.scoped()] == [b.id, a.id]
        # Rewritten: the newest. Touched, or written again as it was: the same.
        await talk.run(f"cd {OUT}; echo more >> a.txt; touch b.txt; echo two > b.txt")
        newer, same = await talk.scoped()
        assert (newer.filename, same.id) == ("a.txt", b.id)
        assert newer.id != a.id
        assert await (await talk.client.files.download(newer.id)).read() == b"one\nmore\n"
        with pytest.raises(NotFoundError):
            await talk.client.files.retrieve_metadata(a.id)
        # What the agent removes has been handed over; what a client deletes stays deleted.
        await talk.run(f"rm {OUT}/a.txt")
        await talk.client.files.delete(b.id)
        await talk.run(f"touch {OUT}/b.txt")
        assert [one.id for one in await talk.scoped()] == [newer.id]
        await talk.run(f"echo three > {OUT}/b.txt")
        assert [one.filename for one in await talk.scoped()] == ["b.txt", "a.txt"]


SECRET = "the host's own"


@requirement("files:outputs-plain")
async def test_nothing_but_plain_files_leaves_the_sandbox(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    async with working(database_url) as server:
        talk = await session(server)
        await talk.run(
            f"cd {OUT}; ln -s /etc/shadow shadow; ln -s {tmp_path}/secret secret; ln -s {tmp_path} host;"
            " ln -s /etc/passwd passwd; ln -s . self; ln -s ../../../../../../etc up; mkfifo pipe;"
            " python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('sock')\";"
            " mkdir d; ln -s /etc d/etc; ln -s / d/root; echo fine > d/fine.txt; ln d/fine.txt twin.txt;"
            " mkdir closed; echo x > closed/x; chmod 000 closed; mkdir -p $(seq -s/ 40); echo deep > $(seq -s/ 40)/deep;"
            " touch $'a\tb:c?.txt' \"$(printf '\\xff.bin')\" ..x"
        )
        files = await talk.scoped()
        bodies = {
            one.filename: await (await talk.client.files.download(one.id)).read() for one in files
        }
        assert SECRET.encode() not in b"".join(bodies.values())
        closed = {"x"} if os.geteuid() == 0 else set()
        assert set(bodies) - closed == {"fine.txt", "twin.txt", "a_b_c_.txt", "\ufffd.bin", "..x"}
        assert bodies["fine.txt"] == bodies["twin.txt"] == b"fine\n"


@requirement("files:outputs-plain")
async def test_an_output_that_turns_into_a_link_is_not_followed(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(SECRET)
    async with working(database_url) as server:
        talk = await session(server)
        # While turns go by a process of the agent's swaps file and link, folder and link.
        await talk.run(
            f"cd {OUT}; mkdir real; echo mine > real/secret; (while :; do"
            f" ln -sfn {tmp_path} d; echo mine > f; rm -rf f d; mkdir d; echo mine > d/secret;"
            f" ln -sf {tmp_path}/secret f; rm -rf d f; done) >/dev/null 2>&1 & echo begun"
        )
        for _ in range(12):
            await talk.run("true")
            for one in await talk.scoped():
                body = await (await talk.client.files.download(one.id)).read()
                assert body in (b"mine\n", b"")


@requirement("files:outputs-limits")
async def test_what_is_too_large_or_too_many_is_left_out(database_url: str) -> None:
    limits: dict[str, Any] = {"file_bytes_max": 1000, "outputs_max": 3}
    async with working(database_url, **limits) as server:
        talk = await session(server)
        await talk.run(
            f"cd {OUT}; head -c 1001 /dev/zero > large; for n in 1 2; do echo $n > $n; sleep 0.01; done"
        )
        assert [one.filename for one in await talk.scoped()] == ["2", "1"]
        await talk.run(f"cd {OUT}; for n in 3 4 5; do echo $n > $n; sleep 0.01; done; echo new > 1")
        assert [one.filename for one in await talk.scoped()] == ["1", "3", "2"]


@requirement("files:outputs")
async def test_many_sessions_hand_over_at_once(database_url: str) -> None:
    async with working(database_url) as server:
        talks = [await session(server) for _ in range(4)]
        command = f"cd {OUT}; for n in $(seq 50); do echo $n > $n.txt; done"
        await asyncio.gather(*(talk.run(command) for talk in talks))
        for talk in talks:
            assert len(await talk.scoped()) == 50
