"""Credentials as environment variables of sandboxes: placeholders inside, secrets at the edge (vaults §3.4)."""

import base64
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.credentials import Stage, staged

SECRET = 'canary/value+of=&%41 "quoted"'
OTHER = "another-canary-value"


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(database_url, tmp_path) as made:
        yield made


def keys(stage: Stage) -> list[str | None]:
    """What `X-Key` was in each request since the last look."""
    found = [one.headers.get("x-key") for one in stage.tls.seen]
    stage.tls.seen.clear()
    return found


@requirement("vaults:variables")
@pytest.mark.timeout(60)
async def test_a_program_uses_a_secret_that_it_never_sees(stage: Stage) -> None:
    vault = await stage.vault({"API_KEY": SECRET})
    session = await stage.session(vault.id)
    placeholder = await stage.bash(session, "echo $API_KEY")
    assert placeholder.startswith("ph_")
    assert len(placeholder) == 32
    url = stage.tls.url("api.test")
    said = await stage.bash(session, f'curl -sS -i -H "Authorization: Bearer $API_KEY" {url}')
    (seen,) = stage.tls.seen
    assert seen.headers["authorization"] == f"Bearer {SECRET}"
    assert seen.headers["host"] == f"api.test:{stage.tls.port}"
    # the answer said it back three times, in headers and body
    assert "canary" not in said
    assert f"x-token: bearer {placeholder}".lower() in said.lower()
    assert "********" in said
    await stage.bash(session, f'curl -sS -u "user:$API_KEY" -d "key=$API_KEY" {url}')
    basic = base64.b64encode(f"user:{SECRET}".encode()).decode()
    assert stage.tls.seen[1].headers["authorization"] == f"Basic {basic}"
    assert stage.tls.seen[1].body == b"key=canary%2Fvalue%2Bof%3D%26%2541+%22quoted%22"
    # the model knows what it has there
    assert "Their values are placeholders" in stage.server.asked[0].system[-1]["text"]
    # hosts that it is not for, and requests without TLS, get what the program has
    await stage.bash(
        session,
        f'curl -sS -H "X-Key: $API_KEY" {stage.tls.url("other.test")} http://api.test:{stage.plain.port}/',
    )
    assert keys(stage)[2:] == [placeholder]
    assert [one.headers["x-key"] for one in stage.plain.seen] == [placeholder]
    # another session has another placeholder, and this one's is nothing to it
    second = await stage.session(vault.id)
    said = await stage.bash(
        session=second, command=f'curl -sS -H "X-Key: {placeholder}" {url}; echo $API_KEY'
    )
    assert keys(stage) == [placeholder]
    assert not said.endswith(placeholder)


PROGRAMS = {
    "python": "/usr/bin/python3 -c 'import os, urllib.request as u;"
    ' r = u.Request("HERE", headers={"X-Key": os.environ["API_KEY"]}); print(u.urlopen(r).status)\'',
    "requests": "/usr/bin/python3 -c 'import os, requests;"
    ' print(requests.get("HERE", headers={"X-Key": os.environ["API_KEY"]}).status_code)\'',
    "node": 'node -e \'const t = require("https"), h = require("http");'
    ' const u = new URL("HERE"); h.request({host: "127.0.0.1", port: 3128, method: "CONNECT", path: u.host})'
    '.on("connect", (_, socket) => t.get({host: u.hostname, port: u.port, path: u.pathname, socket, agent: false,'
    ' headers: {"X-Key": process.env.API_KEY}}, r => {console.log(r.statusCode); r.resume()})).end()\'',
    "git": 'git -c http.extraHeader="X-Key: $API_KEY" ls-remote HERE 2>&1; true',
}
NEEDS = {"node": "node", "git": "git"}


@requirement("vaults:variables")
@pytest.mark.timeout(60)
async def test_ordinary_programs_trust_the_edge(stage: Stage) -> None:
    vault = await stage.vault({"API_KEY": OTHER})
    session = await stage.session(vault.id)
    has = await stage.bash(session, "/usr/bin/python3 -c 'import requests' 2>&1 && echo requests")
    for name, program in PROGRAMS.items():
        if name == "requests" and has != "requests":
            continue
        if name in NEEDS and shutil.which(NEEDS[name], path="/usr/bin:/bin") is None:
            continue
        said = await stage.bash(session, program.replace("HERE", stage.tls.url("api.test")))
        assert OTHER in keys(stage), f"{name}: {said}"
    # who says it in this session is not heard; what another tenant says is his own affair
    assert await stage.bash(session, f"echo {OTHER}") == "[redacted]"
    assert await stage.bash(await stage.session(), f"echo {OTHER}") == OTHER
    # who looks into the system's own bundle finds it there too; other hosts are trusted as before
    url, other = stage.tls.url("api.test"), stage.tls.url("other.test")
    bare = "env -u SSL_CERT_FILE -u CURL_CA_BUNDLE"
    said = await stage.bash(
        session, f"{bare} curl -sS -o /dev/null -o /dev/null -w '%{{http_code}} ' {url} {other}"
    )
    assert said.split() == ["200", "200"]


@requirement("vaults:variables-live")
@pytest.mark.timeout(60)
async def test_what_changes_counts_at_the_next_request(stage: Stage) -> None:
    credentials = stage.client.beta.vaults.credentials
    first = await stage.vault({"API_KEY": "first-canary"})
    second = await stage.vault({"API_KEY": "second-canary", "MORE": "third-canary"})
    session = await stage.session(first.id, second.id)
    ask = f'curl -sS -o /dev/null -H "X-Key: $API_KEY $MORE" {stage.tls.url("api.test")}'
    placeholders = await stage.bash(session, 'echo "$API_KEY $MORE"')
    await stage.bash(session, ask)
    (one,) = [one async for one in credentials.list(first.id)]
    kind: Any = {"type": "environment_variable"}
    await credentials.update(
        one.id, vault_id=first.id, auth={**kind, "secret_value": "renewed-canary"}
    )
    await stage.bash(session, ask)
    elsewhere: Any = {"type": "limited", "allowed_hosts": ["*.api.test"]}
    await credentials.update(one.id, vault_id=first.id, auth={**kind, "networking": elsewhere})
    await stage.bash(session, ask)
    await credentials.archive(one.id, vault_id=first.id)
    await stage.bash(session, ask)
    await stage.client.beta.vaults.delete(second.id)
    await stage.bash(session, ask)
    api_key, more = placeholders.split()
    assert keys(stage) == [
        "first-canary third-canary",
        "renewed-canary third-canary",
        f"{api_key} third-canary",
        "second-canary third-canary",
        f"{api_key} {more}",
    ]


@requirement("vaults:variables")
@pytest.mark.timeout(60)
async def test_the_environment_has_to_allow_it_too(stage: Stage) -> None:
    vault = await stage.vault({"API_KEY": OTHER}, networking={"type": "unrestricted"})
    limited = {"type": "limited", "allowed_hosts": ["api.test"]}
    session = await stage.session(vault.id, networking=limited)
    ask = 'curl -sS -o /dev/null -w "%{http_connect}" -H "X-Key: $API_KEY" '
    said = await stage.bash(session, ask + stage.tls.url("other.test"))
    assert "403" in said
    await stage.bash(session, ask + stage.tls.url("api.test"))
    assert keys(stage) == [OTHER]


@requirement("vaults:variables-cut-off")
async def test_a_credential_for_a_host_that_is_not_allowed_is_told_once(stage: Stage) -> None:
    vault = await stage.vault({"API_KEY": OTHER})
    fine = await stage.vault({"FINE": OTHER}, networking={"type": "unrestricted"})
    limited = {"type": "limited", "allowed_hosts": ["other.test"]}
    session = await stage.session(vault.id, fine.id, networking=limited)
    await stage.bash(session, "true")
    await stage.bash(session, "true")
    events = stage.client.beta.sessions.events
    (error,) = [one.error async for one in events.list(session.id, types=["session.error"])]
    assert error.type == "credential_host_unreachable_error"
    assert error.vault_id == vault.id
    (credential,) = [one async for one in stage.client.beta.vaults.credentials.list(vault.id)]
    assert error.credential_id == credential.id
    assert (
        "API_KEY is for api.test, which the environment's networking does not allow"
        in error.message
    )
    assert error.retry_status.type == "retrying"


@requirement("vaults:session")
async def test_a_wrong_vault_makes_no_session(stage: Stage) -> None:
    vault = await stage.vault({"API_KEY": OTHER})
    archived = await stage.client.beta.vaults.archive((await stage.vault({})).id)
    with_it = await stage.session(vault.id)
    for wrong in ("vlt_01doesnotexist", archived.id, "nonsense", vault.id):
        with pytest.raises(anthropic.BadRequestError) as caught:
            await stage.client.beta.sessions.create(
                agent=with_it.agent.id,
                environment_id=with_it.environment_id,
                vault_ids=[vault.id, wrong],
            )
        assert caught.value.message.find("vault_ids.1") > 0
    assert [one.id async for one in stage.client.beta.sessions.list()] == [with_it.id]
    kept = await stage.server.database.fetch("select * from placeholders")
    assert json.dumps(kept) == "[]"
