"""Repositories of sessions: checked out before the first call, the agent's own from then on."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest
import structlog

from agentstead.sandbox.bubblewrap import Bubblewrap
from agentstead.sandbox.network import Egress
from agentstead.worker.repositories import forget
from tests.conformance.requirements import requirement
from tests.conformance.test_turns import bash, say, texts, watching
from tests.support.git_hosts import NAME, GitHost, git, git_host
from tests.support.sandboxes import needed, real_sandboxes
from tests.support.server import MODEL, Running, serving

TOKEN = "ghp_c4narySecretOfTheRepository"
NEW_TOKEN = "ghp_theNextC4naryOfTheRepository"
TOOLSET: Any = [{"type": "agent_toolset_20260401"}]
SKILL = "---\nname: releasing\ndescription: How releases are made.\n---\n# Releases\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHost]:
    with git_host(tmp_path_factory.mktemp("host")) as found:
        found.make("open", {"README.md": "open\n"})
        skill = {".claude/skills/releasing/SKILL.md": SKILL, "README.md": "closed\n"}
        found.make("closed", skill, token=TOKEN)
        yield found


@asynccontextmanager
async def running(
    database_url: str, host: GitHost, commands: dict[str, str], **settings: Any
) -> AsyncIterator[tuple[Running, Bubblewrap]]:
    """A server whose sandboxes are real, and which may check out from the host; message → command."""
    await needed()
    names = {NAME: "127.0.0.1"}
    egress = Egress(
        (host.port,), (f"127.0.0.1:{host.port}",), names=names, authorities=host.authority
    )
    async with (
        real_sandboxes(egress=egress) as hands,
        serving(
            database_url,
            workers=1,
            script={
                "scripts": [
                    {
                        "when": {"contains": said},
                        "turns": [{"tools": [bash(command)]}, {"text": "Done."}],
                    }
                    for said, command in commands.items()
                ]
            },
            sandbox=hands,
            repository_hosts=[host.netloc],
            repository_private_networks=[f"127.0.0.1:{host.port}"],
            repository_ca_file=host.root.parent / "authority.pem",
            egress_names=names,
            **{"retry_first_seconds": 0.05, **settings},
        ) as server,
    ):
        yield server, hands


def repository(host: GitHost, name: str, **more: Any) -> Any:
    return {"type": "github_repository", "url": host.url(name), **more}


async def a_session(client: Any, *resources: Any, vault_ids: Any = ()) -> Any:
    agent = await client.beta.agents.create(name="a", model=MODEL, tools=TOOLSET)
    environment = await client.beta.environments.create(name="e")
    return await client.beta.sessions.create(
        agent=agent.id,
        environment_id=environment.id,
        resources=list(resources),
        vault_ids=list(vault_ids),
    )


async def a_vault(client: Any) -> Any:
    """With a variable of the host's token."""
    vault = await client.beta.vaults.create(display_name="v")
    limited = {"type": "limited", "allowed_hosts": [NAME]}
    auth: Any = {
        "type": "environment_variable", "secret_name": "HOST_KEY", "secret_value": TOKEN, "networking": limited,
    }  # fmt: skip
    await client.beta.vaults.credentials.create(vault.id, auth=auth)
    return vault


LOOK = """\
cd /workspace/infra && git status -sb && git log --oneline && cat README.md
echo mine >> README.md && git commit -qam mine && git log --format='%an %s' -1
git -c http.sslVerify=false push 2>&1
git push -q https://x-access-token:$HOST_KEY@{netloc}/acme/closed HEAD:refs/heads/mine 2>&1
ls ../open; git -C ../open status -sb; id -un; stat -c %U README.md
env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; grep -rl 'c4n[a]ry' /workspace /tmp /etc /run /mnt; true"""
LATER = "cat /workspace/infra/README.md; cd /workspace/infra && git log --format=%s -1; rm -rf /workspace/infra"
LAST = "ls /workspace; ls /workspace/infra"


@requirement("resources:repositories", "resources:repository-skills", "resources:token")
async def test_repositories_are_there_before_the_first_call(
    database_url: str, host: GitHost
) -> None:
    """clients rule 21, and the token is nowhere."""
    host.requests.clear()
    told = {"look": LOOK.replace("{netloc}", host.netloc), "later": LATER, "last": LAST}
    with structlog.testing.capture_logs() as logged:
        async with running(database_url, host, told) as (server, hands):
            client = server.sdk()
            branch = {"type": "branch", "name": "topic"}
            session = await a_session(
                client,
                repository(
                    host, "closed", authorization_token=TOKEN, mount_path="infra", checkout=branch
                ),
                repository(host, "open"),
                vault_ids=[(await a_vault(client)).id],
            )
            assert [one.mount_path for one in session.resources] == ["infra", "/workspace/open"]
            assert session.resources[0].checkout.to_dict() == branch
            async with watching(client, session) as watch:
                await watch.send(say("look"))
                await watch.idle()
                done = len(host.requests)
                await hands.stop(session.id)
                await watch.send(say("later"))
                await watch.idle(2)
                await watch.send(say("last"))
                await watch.idle(3)
                said = [one.content[0].text for one in watch.calls("agent.tool_result")]
            system = " ".join(block["text"] for block in server.asked[0].system)
            rows = await everything(server)
            for folder in (server.folder, hands.root):
                assert holders(folder) == []
            kept = await server.database.fetch("select sealed from session_repositories")
            assert sum(row["sealed"] is not None for row in kept) == 1
            await client.beta.sessions.archive(session.id)
            await forget(server.database)
            kept = await server.database.fetch("select sealed from session_repositories")
            assert [row["sealed"] for row in kept] == [None, None]
            await client.beta.sessions.delete(session.id)
            await forget(server.database, 0.0)
            assert await server.database.fetch("select 1 from session_repositories") == []
    first = said[0]
    assert (
        git(host.root / "acme" / "closed", "log", "--format=%an %s", "-1", "mine") == "Agent mine"
    )
    for wanted in (
        "## topic...origin/topic\n", " second\n", " first\n", "closed\nAgent mine\n", "README.md\n## main",
        "agentstead: no credential of this repository is in the sandbox", "\nagent\nagent\n",
    ):  # fmt: skip
        assert wanted in first, wanted
    assert said[1].endswith("\nclosed\nmine\nmine")
    assert said[2].startswith("open\n")
    assert "No such file" in said[2]
    assert len(host.requests) == done
    assert f"/workspace/infra: {host.url('closed')} (branch topic)" in system
    assert "releasing: How releases are made. (/workspace/infra/.claude/skills/releasing/" in system
    for text in (repr(watch.seen), rows, repr(logged), *said):
        assert "c4nary" not in text
    sent = [one[2] for one in host.requests[:done]]
    assert any("Authorization" in headers for headers in sent)
    assert all(one["Host"] == host.netloc for one in sent)


async def everything(server: Running) -> str:
    """All text in the database."""
    tables = await server.database.fetch(
        "select table_name from information_schema.tables where table_schema = current_schema()"
    )
    found = []
    for table in tables:
        rows = await server.database.fetch(f'select t::text from "{table["table_name"]}" t')
        found += [row["t"] for row in rows]
    return "\n".join(found)


def holders(folder: Path) -> list[str]:
    """Files with the token in them."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return [str(path) for path in files if b"c4nary" in path.read_bytes()]


@requirement("resources:repositories", "resources:repository-errors", "resources:token")
async def test_what_cannot_be_checked_out_is_told_and_the_session_goes_on(
    database_url: str, host: GitHost
) -> None:
    host.make("other", {"a": "a"}, token=NEW_TOKEN)
    host.make("late", {"a": "a"})
    async with running(database_url, host, {"list": "ls /workspace /workspace/other"}) as (
        server,
        _,
    ):
        client = server.sdk()
        session = await a_session(
            client,
            repository(host, "late"),
            repository(host, "other", authorization_token=TOKEN),
            repository(host, "nowhere", authorization_token=TOKEN),
            repository(host, "open", checkout={"type": "branch", "name": "gone"}),
        )
        host.broken = 1
        async with watching(client, session) as watch:
            await watch.send(say("go"))
            await watch.idle()
            errors = [one.error for one in watch.calls("session.error")]
            assert [(one.type, one.repository_url.rpartition("/")[2]) for one in errors] == [
                ("repository_clone_error", "late"),
                ("repository_authentication_error", "other"),
                ("repository_not_found_error", "nowhere"),
                ("repository_checkout_error", "open"),
            ]
            assert {one.retry_status.type for one in errors} == {"retrying"}
            assert "remote: not now" in errors[0].message
            kinds = [one.type for one in watch.seen]
            assert kinds.count("session.status_rescheduled") == 1
            assert kinds[-1] == "session.status_idle"
            told = repr(server.asked[0].messages)
            for name in ("other", "nowhere", "open"):
                assert f"The repository {host.url(name)} is not at /workspace/{name}: " in told
            assert "/workspace/late: " not in told
            other = session.resources[1]
            changed = await client.beta.sessions.resources.update(
                other.id, session_id=session.id, authorization_token=NEW_TOKEN
            )
            assert changed.to_dict() == {
                **other.to_dict(), "updated_at": changed.to_dict()["updated_at"]
            }  # fmt: skip
            assert changed.updated_at > other.updated_at
            await watch.send(say("list"))
            await watch.idle(2)
            (result,) = watch.calls("agent.tool_result")
            assert {"late", "other"} <= set(result.content[0].text.split())
            assert "\na" in result.content[0].text
            again = [one.error.type for one in watch.calls("session.error")][4:]
            assert again == [one.type for one in errors[2:]]
        assert texts(watch.seen)[-1] == "Done."


@requirement("resources:repository-errors")
async def test_why_says_that_a_repository_is_waited_for(database_url: str, host: GitHost) -> None:
    async with running(
        database_url, host, {"-": ""}, retry_first_seconds=60.0, retry_max_seconds=60.0
    ) as (server, _):
        client = server.sdk()
        host.broken = 1000
        session = await a_session(client, repository(host, "open"))
        async with watching(client, session) as watch:
            await watch.send(say("go"))
            await watch.until(lambda seen: any(one.type == "session.error" for one in seen))
            said = (await server.http().get(f"/v1/sessions/{session.id}/why")).json()
            assert said["reason"].startswith("A repository could not be checked out and is tried")
            assert said["waiting_for"]["type"] == "retry"
            await watch.send({"type": "user.interrupt"})
            assert (await watch.idle()).stop_reason.type == "end_turn"
        host.broken = 0


@requirement("resources:token", "resources:fixed")
async def test_a_token_is_given_and_changed_and_never_shown(server: Running, client: Any) -> None:
    url = "https://github.com/acme/tools"
    given: Any = {"type": "github_repository", "url": url, "authorization_token": TOKEN}
    session = await a_session(client, given)
    (one,) = session.resources
    assert one.to_dict() == {
        "id": one.id, "type": "github_repository", "url": url, "mount_path": "/workspace/tools",
        "checkout": None, "created_at": one.to_dict()["created_at"], "updated_at": one.to_dict()["created_at"],
    }  # fmt: skip
    http = server.http()
    shown = [
        await http.get(f"/v1/sessions/{session.id}"),
        await http.get(f"/v1/sessions/{session.id}/resources"),
        await http.post(
            f"/v1/sessions/{session.id}/resources/{one.id}", json={"authorization_token": NEW_TOKEN}
        ),
    ]
    assert {answer.status_code for answer in shown} == {200}
    assert "c4nary" not in "".join(answer.text.lower() for answer in shown)
    assert "c4nary" not in (await everything(server)).lower()
    with pytest.raises(anthropic.BadRequestError, match="Only a file can be detached"):
        await client.beta.sessions.resources.delete(one.id, session_id=session.id)


@requirement("resources:repositories", "resources:refused-by-path")
async def test_an_engines_sandboxes_take_none(server: Running, client: Any) -> None:
    server.services.settings.sandbox = "docker"
    given: Any = {"type": "github_repository", "url": "https://github.com/acme/tools"}
    with pytest.raises(anthropic.BadRequestError, match=r"resources\.0\.type: github_repository"):
        await a_session(client, given)
    assert (await client.beta.sessions.list()).data == []
