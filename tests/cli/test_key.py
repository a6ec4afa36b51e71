"""`agentstead key` on a platform that runs, and on one that does not."""

import pytest

from agentstead.resources.work.routes import PATH
from tests.support.processes import Platform, eventually, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def status(platform: Platform, key: str) -> int:
    with platform.http(key) as client:
        return int(client.get("/v1/agents").status_code)


def test_a_key_works_from_its_making_to_its_revocation(platform: Platform) -> None:
    place = ("--data-dir", str(platform.data_dir))
    platform.serve()
    made = run("key", "create", "--name", "ci", *place)
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert status(platform, secret) == 200

    listed = run("key", "list", *place).stdout
    assert secret not in listed
    (line,) = [line for line in listed.splitlines() if "  ci  " in line]
    assert "live" in line

    ended = run("key", "revoke", line.split()[0], *place)
    assert ended.returncode == 0, ended.stderr
    eventually(lambda: status(platform, secret) == 401, "the refusal of the key", 10)
    assert "revoked" in run("key", "list", *place).stdout
    assert status(platform, platform.key) == 200


def test_keys_can_be_made_while_nothing_runs(platform: Platform) -> None:
    place = ("--data-dir", str(platform.data_dir))
    made = run("key", "create", *place)
    assert made.returncode == 0, made.stderr
    assert platform.postgres() is None
    platform.serve()
    assert status(platform, made.stdout.strip()) == 200


def test_an_unknown_key_cannot_be_revoked(platform: Platform) -> None:
    wrong = run("key", "revoke", "apikey_nothing", "--data-dir", str(platform.data_dir))
    assert wrong.returncode == 1
    assert wrong.stderr.splitlines()[-1].startswith("agentstead: ")
    assert "Traceback" not in wrong.stderr


def test_an_environments_key_serves_its_workers_until_it_is_revoked(platform: Platform) -> None:
    place = ("--data-dir", str(platform.data_dir))
    platform.serve()
    config = {"name": "mine", "config": {"type": "self_hosted"}}
    with platform.http(platform.key) as client:
        mine = client.post("/v1/environments", json=config).json()["id"]
        cloud = client.post("/v1/environments", json={"name": "cloud"}).json()["id"]
    made = [
        run("key", "create", "--environment", mine, "--name", name, *place)
        for name in ("one", "two")
    ]
    secrets = [each.stdout.strip() for each in made]
    assert all(secret.startswith("sk-ant-oat01-") for secret in secrets)

    def polls(secret: str) -> int:
        with platform.http(secret) as client:
            return int(client.get(PATH.format(environment_id=mine) + "/poll").status_code)

    assert [polls(secret) for secret in secrets] == [200, 200]
    assert status(platform, secrets[0]) == 403
    listed = run("key", "list", "--environment", mine, *place).stdout.splitlines()
    assert len(listed) == 2
    assert not any(secret in line for secret in secrets for line in listed)
    (line,) = [line for line in listed if "  one  " in line]
    assert run("key", "revoke", line.split()[0], *place).returncode == 0
    assert [polls(secret) for secret in secrets] == [401, 200]
    wrong = run("key", "create", "--environment", cloud, *place)
    assert wrong.returncode == 1
    assert "not self_hosted" in wrong.stderr
