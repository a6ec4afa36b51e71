"""What is wrong about hands is refused by its field, and nothing half done is left behind."""

import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from agentstead.settings import Settings
from tests.conformance.requirements import requirement
from tests.support.server import MODEL, Running, serving

MANIFEST = b"---\nname: bad\ndescription: Bad.\n---\n"
LIMIT = 4 << 20
MIB = bytes(1 << 20)
Send = Callable[[Any, dict[str, Any]], Awaitable[Any]]


def network(*hosts: str) -> Send:
    """An environment with these hosts."""
    config = {"type": "cloud", "networking": {"type": "limited", "allowed_hosts": list(hosts)}}
    return lambda http, _: http.post("/v1/environments", json={"name": "e", "config": config})


def skill(entries: dict[str, bytes], mode: int = 0o100644) -> Send:
    """A skill as an archive."""

    def send(http: Any, _: dict[str, Any]) -> Awaitable[Any]:
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("SKILL.md", MANIFEST)
            for path, data in entries.items():
                info = zipfile.ZipInfo(path)
                info.external_attr = mode << 16
                archive.writestr(info, data, zipfile.ZIP_DEFLATED)
        return http.post("/v1/skills", files=[("files[]", ("s.zip", target.getvalue()))])

    return send


def upload(mebibytes: int) -> Send:
    """A file of so many MiB, of which never more than one is held."""

    async def body() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="large"\r\n\r\n'
        for _ in range(mebibytes):
            yield MIB
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    return lambda http, _: http.post("/v1/files", content=body(), headers=headers)


def session(**more: Any) -> Send:
    """A session with a file that exists, a repository with a token, and what is wrong."""

    def send(http: Any, there: dict[str, Any]) -> Awaitable[Any]:
        resources = [
            {"type": "file", "file_id": there["file"]},
            {"type": "github_repository", "url": "https://github.com/acme/tools",
             "authorization_token": "ghp_half", **more.get("repository", {})},
        ]  # fmt: skip
        body = {"agent": there["agent"], "environment_id": there["environment"]}
        body |= {"resources": resources, "vault_ids": more.get("vault_ids", [there["vault"]])}
        return http.post("/v1/sessions", json=body)

    return send


def repository(**given: Any) -> Send:
    """A session whose repository is wrong."""
    return session(repository=given)


HOST = "config.networking.allowed_hosts"
URL = "resources.1.url: Expected https://github.com/<owner>/<repository>"
BAD: dict[str, tuple[Send, int, str]] = {
    "a scheme": (network("https://a.com"), 400, f"{HOST}.0: "),
    "a port": (network("a.com:443"), 400, f"{HOST}.0: "),
    "an address": (network("a.com", "10.0.0.1"), 400, f"{HOST}.1: "),
    "an address of IPv6": (network("[::1]"), 400, f"{HOST}.0: "),
    "a wildcard in the middle": (network("a.*.com"), 400, f"{HOST}.0: "),
    "a wildcard alone": (network("*"), 400, f"{HOST}.0: "),
    "a 65th host": (network(*(f"a{n}.com" for n in range(65))), 400, f"{HOST}: "),
    "a zip bomb": (skill({f"z{n}": bytes(11_000_000) for n in range(3)}), 413, "files: At most"),
    "a symlink": (skill({"link": b"/etc/passwd"}, 0o120777), 400, "files: "),
    "a path that leads out": (skill({"../x": b"x"}), 400, "files: "),
    "600 MB": (upload(600), 413, "file: At most "),
    "no https": (repository(url="http://github.com/a/b"), 400, URL),
    "ssh": (repository(url="git@github.com:a/b"), 400, URL),
    "another host": (repository(url="https://evil.example/a/b"), 400, URL),
    "a password": (repository(url="https://me:pw@github.com/a/b"), 400, URL),
    "a port of its own": (repository(url="https://github.com:8443/a/b"), 400, URL),
    "no repository": (repository(url="https://github.com/a"), 400, URL),
    "a way out": (repository(url="https://github.com/a/.."), 400, URL),
    "a query": (repository(url="https://github.com/a/b?x=y"), 400, URL),
    ".git": (repository(url="https://github.com/a/b.git"), 400, "resources.1.url: Leave out"),
    "a bad branch": (
        repository(checkout={"type": "branch", "name": "--upload-pack=x"}), 400, "resources.1.checkout.name: ",
    ),
    "a bad commit": (
        repository(checkout={"type": "commit", "sha": "HEAD"}), 400, "resources.1.checkout.sha: ",
    ),
    "a path outside": (repository(mount_path="/etc/x"), 400, "resources.1.mount_path: "),
    "a wrong vault": (session(vault_ids=["vlt_none"]), 400, "vault_ids.0: There is no vault"),
}  # fmt: skip


def bodies(folder: Path) -> list[Path]:
    """What lies in the blob store, unfinished or not."""
    return [path for path in folder.rglob("*") if path.is_file()]


async def counts(server: Running) -> dict[str, int]:
    """Rows of every table, and files of the blob store."""
    tables = await server.database.fetch(
        "select table_name from information_schema.tables where table_schema = current_schema()"
    )
    found = {"files": len(bodies(server.folder))}
    for name in sorted(row["table_name"] for row in tables):
        (row,) = await server.database.fetch(f'select count(*) as n from "{name}"')
        found[name] = row["n"]
    return found


@requirement(
    "environments:limits", "skills:rules", "files:too-large", "resources:refused-by-path",
    "resources:repository-url", "vaults:session",
)  # fmt: skip
async def test_what_is_wrong_about_hands_is_refused_and_leaves_nothing(database_url: str) -> None:
    assert Settings.model_fields["file_bytes_max"].default == 500 << 20
    async with serving(database_url, file_bytes_max=LIMIT) as server:
        client, http = server.sdk(), server.http()
        agent = await client.beta.agents.create(name="a", model=MODEL)
        environment = await client.beta.environments.create(name="plain")
        vault = await client.beta.vaults.create(display_name="v")
        file = await client.files.upload(file=("a", b"a"))
        there = {
            "agent": agent.id,
            "environment": environment.id,
            "vault": vault.id,
            "file": file.id,
        }
        before = await counts(server)
        for name, (send, status, said) in BAD.items():
            answer = await send(http, there)
            assert answer.status_code == status, (name, answer.text)
            kind = "invalid_request_error" if status == 400 else "request_too_large"
            error = answer.json()["error"]
            assert error["type"] == kind, name
            assert error["message"].startswith(said), (name, error["message"])
            assert await counts(server) == before, name
        assert (await session()(http, there)).status_code == 200
        assert await counts(server) != before
