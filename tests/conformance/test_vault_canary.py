"""A vault's secret is used by programs of a session, said back by servers in every way, and found nowhere.

What is searched is one table, `PLACES`: whoever adds a place where bytes of a session are kept adds a
line there. Each is looked through for the secret as it is and in every form in which it is usually
written; that the search finds what is there is tested too.
"""

import asyncio
import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2
import pytest

from agentstead.store import binaries
from agentstead.store.embedded import EmbeddedPostgres
from tests.conformance.requirements import requirement
from tests.support.egress import certificate
from tests.support.processes import Platform, eventually, quick_platform
from tests.support.reflecting import Reflecting, reflecting
from tests.support.sandboxes import needed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MODEL = "scripted-canary"
ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""How everything packed by it begins."""
SHOWN = 28
"""So many first characters of it are looked for: most of a secret is one."""
SCRIPT = {
    "turns": [{"tools": [{"name": "bash", "input": {"command": "{{user}}"}}]}, {"text": "{{results}}"}]
}  # fmt: skip
WAYS = ("raw", "base64", "url", "gzip", "drip", "redirect?https://other.test:{port}/raw")
USES = (
    'curl -sS -i -L -H "Authorization: Bearer $API_KEY" -d "key=$API_KEY" {url}',
    'curl -sS -i -u "user:$API_KEY" -c /workspace/jar -o /workspace/answer {url}; cat /workspace/answer',
    'curl -sS -b /workspace/jar -H "Content-Type: application/json" -d "{{\\"key\\": \\"$API_KEY\\"}}" {url}',
)
LOOKS = (
    "env; echo $API_KEY > /workspace/note; set; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'",
    "grep -ra canary /workspace /tmp /mnt /run /etc 2>/dev/null | head; cat /workspace/*; curl -sS {plain}",
)


@dataclass
class Scene:
    """What happened, and where it may have left something."""

    platform: Platform
    session_id: str
    database_url: str
    vault_id: str


def forms(secret: str) -> dict[str, bytes]:
    """A secret as it is, and as it is usually written."""
    raw = secret.encode()
    found = {"raw": raw, "json": json.dumps(secret)[1:-1].encode(), "hex": raw.hex().encode()}
    found |= {"url": quote(secret, safe="").encode(), "form": quote_plus(secret).encode()}
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)
        found[f"base64 {shift}"] = text[4 * bool(shift) : len(text) // 4 * 4 - 4]
        found[f"base64url {shift}"] = found[f"base64 {shift}"].translate(
            bytes.maketrans(b"+/", b"-_")
        )
    return found


def events(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """The log of the session as clients see it."""
    listed = scene.platform.client().beta.sessions.events.list(scene.session_id, limit=1000)
    for event in listed:
        yield event.id, event.to_json().encode()


def answers(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Routes that speak of the session, its vault and the platform."""
    paths = (
        f"/v1/sessions/{scene.session_id}", f"/v1/sessions/{scene.session_id}/why",
        f"/v1/sessions/{scene.session_id}/events?limit=1000", f"/v1/vaults/{scene.vault_id}",
        f"/v1/vaults/{scene.vault_id}/credentials", "/v1/sessions?limit=100", "/metrics", "/openapi.json",
    )  # fmt: skip
    with httpx2.Client(
        base_url=scene.platform.url, headers={"x-api-key": scene.platform.key}
    ) as http:
        for path in paths:
            answer = http.get(path)
            assert answer.status_code == 200, path
            yield path, answer.content


def logs(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """What the platform says, the decisions of the network among it."""
    for process in scene.platform.running:
        yield process.words, "\n".join(process.said).encode()


def database(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, line by line; what is sealed is in it as it lies there."""
    program = binaries.programs(binaries.installed()) / "pg_dump"
    dump = subprocess.run(
        [program, "--data-only", "--dbname", scene.database_url], capture_output=True, check=True
    )
    assert b"COPY public.placeholders" in dump.stdout
    yield "dump", dump.stdout


def files(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Everything in the data directory: the sandbox's files and journal, stored bodies, the database's own
    files and its write-ahead log."""
    for path in scene.platform.data_dir.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield str(path), path.read_bytes()


def processes(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """Arguments and environment of every process on this machine that is not ours above."""
    ours = {os.getpid(), os.getppid()}
    searched = b""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) not in ours:
            for name in ("cmdline", "environ"):
                try:
                    content = (folder / name).read_bytes()
                except OSError:
                    continue
                searched += content
                yield f"{folder}/{name}", content
    assert b"egress/__main__.py" in searched
    assert b"supervisor/__main__.py" in searched


def memory(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """The memory of the sandbox's supervisor, over which the secret's way is handed on."""
    lock = scene.platform.data_dir / "sandboxes" / scene.session_id / "lock"
    pid = int(lock.read_text())
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, mode, *_ = line.split()
            begin, end = (int(number, 16) for number in span.split("-"))
            if mode.startswith("rw") and "[v" not in line:
                file.seek(begin)
                yield f"memory of {pid} at {span}", file.read(end - begin)


def checkpoints(scene: Scene) -> Iterator[tuple[str, bytes]]:
    """What was saved of the sandbox, unpacked; saving begins once a turn is over."""
    saved = scene.platform.data_dir / "sandboxes" / scene.session_id / "saved.json"
    eventually(lambda: saved.exists() and "stamp" in saved.read_text(), "a checkpoint")
    for path in (scene.platform.data_dir / "blobs").rglob("*"):
        if path.is_file() and (content := path.read_bytes()).startswith(ZSTANDARD):
            content = zstd.decompress(content)
            assert b"workspace/note" in content
            yield str(path), content


PLACES: dict[str, Callable[[Scene], Iterator[tuple[str, bytes]]]] = {
    "events": events,
    "answers": answers,
    "logs": logs,
    "database": database,
    "checkpoints": checkpoints,
    "files": files,
    "processes": processes,
    "memory of the supervisor": memory,
}
"""Where a secret must not be."""


def found_in(scene: Scene, secret: str) -> list[str]:
    """Where it is all the same."""
    looked_for = forms(secret[:SHOWN])
    found = []
    for place, look in PLACES.items():
        searched = 0
        for name, content in look(scene):
            searched += len(content)
            found += [
                f"{place}: {name}: {form}" for form, text in looked_for.items() if text in content
            ]
        assert searched > 100, f"nothing was searched in {place}"
    return found


def turn(client: Any, session_id: str, command: str) -> str:
    """What a command prints, with the turn at its end."""
    said = ""
    say: Any = {"type": "user.message", "content": [{"type": "text", "text": command}]}
    with client.beta.sessions.events.stream(session_id) as stream:
        client.beta.sessions.events.send(session_id, events=[say])
        for event in stream:
            if event.type == "agent.tool_result":
                said = event.content[0].text
            elif event.type == "session.status_idle":
                break
    return said


def play(made: Platform, mirror: Reflecting, plain: Reflecting, secret: str) -> tuple[Scene, str]:
    """A session that uses the secret in every way; what its programs saw of it."""
    client = made.client()
    vault = client.beta.vaults.create(display_name="v")
    networking: Any = {"type": "limited", "allowed_hosts": ["api.test"]}
    auth: Any = {"type": "environment_variable", "secret_name": "API_KEY", "secret_value": secret}
    client.beta.vaults.credentials.create(vault.id, auth={**auth, "networking": networking})
    agent = client.beta.agents.create(
        name="a", model=MODEL, tools=[{"type": "agent_toolset_20260401"}]
    )
    environment = client.beta.environments.create(name="e")
    session = client.beta.sessions.create(
        agent=agent.id, environment_id=environment.id, vault_ids=[vault.id]
    )
    where = f"https://api.test:{mirror.port}/"
    commands = [
        "; echo; ".join(
            use.format(url=where + way.format(port=mirror.port))
            for way in (WAYS if use is USES[0] else WAYS[:2])
        )
        for use in USES
    ]
    looks = [look.format(plain=f"http://api.test:{plain.port}/?$API_KEY") for look in LOOKS]
    seen = [turn(client, session.id, command) for command in (looks[0], *commands, looks[1])]
    url = asyncio.run(EmbeddedPostgres(made.data_dir).attach())
    return Scene(made, session.id, url, vault.id), "\n".join(seen)


@requirement("vaults:canary")
@pytest.mark.timeout(120)
async def test_a_secret_is_nowhere(tmp_path: Path) -> None:
    await needed()
    secret = f'canary+/=&"%{secrets.token_hex(12)}ä'
    tls, authority = certificate(tmp_path, "api.test", "other.test")
    script = tmp_path / "script.json"
    script.write_text(json.dumps(SCRIPT))
    async with reflecting(tls) as mirror, reflecting(None) as plain:

        def run() -> tuple[list[str], str]:
            settings = {
                "models": json.dumps({MODEL: "scripted"}),
                "scripted_file": str(script),
                "egress_ca_file": str(authority),
                "egress_names": json.dumps({"api.test": "127.0.0.1", "other.test": "127.0.0.1"}),
                "egress_private_networks": json.dumps(
                    [f"127.0.0.1:{mirror.port}", f"127.0.0.1:{plain.port}"]
                ),
            }
            with quick_platform(**settings) as made:
                made.serve()
                scene, seen = play(made, mirror, plain, secret)
                return found_in(scene, secret), seen

        found, seen = await asyncio.to_thread(run)
    assert found == []
    # it was there to be found: servers got it in headers and bodies, and said it back
    got = [
        one
        for one in mirror.seen
        if secret in one.headers.get("authorization", "").encode("latin-1").decode()
    ]
    assert len(got) == len(WAYS)
    bodies = b"".join(one.body for one in mirror.seen)
    assert quote_plus(secret).encode() in bodies
    assert json.dumps(secret).encode() in bodies
    assert seen.count("*" * 20) > len(WAYS)
    # who was redirected elsewhere, or asked without TLS, brought a placeholder
    for one in (
        *plain.seen,
        *(one for one in mirror.seen if one.headers["host"].startswith("other")),
    ):
        assert secret.encode() not in json.dumps(one.headers).encode() + one.body
    assert plain.seen


@requirement("vaults:canary")
@pytest.mark.parametrize("form", list(forms("x" * 12)))
def test_the_search_finds_what_is_there(form: str) -> None:
    secret = f'canary+/=&"%{secrets.token_hex(12)}ä'
    raw = secret.encode()
    texts = {
        "raw": raw, "json": json.dumps([secret]).encode(), "hex": raw.hex().encode(),
        "url": quote(f"={secret}", safe="").encode(), "form": quote_plus(f" {secret}").encode(),
    }  # fmt: skip
    for shift in range(3):
        texts[f"base64 {shift}"] = base64.b64encode(b"a" * shift + raw + b"!")
        texts[f"base64url {shift}"] = base64.urlsafe_b64encode(b"a" * (shift + 3) + raw)
    assert forms(secret)[form] in texts[form]
