"""`agentstead seal` beside a platform that runs."""

import pytest

from tests.support.processes import Platform, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def test_master_keys_are_rotated_while_the_platform_runs(platform: Platform) -> None:
    place = ("--data-dir", str(platform.data_dir))
    platform.serve()
    auth = {"type": "static_bearer", "mcp_server_url": "https://m.example.com", "token": "canary-1"}
    keys = platform.data_dir / "seal-keys"
    with platform.http() as client:
        vault = client.post("/v1/vaults", json={"display_name": "v"}).json()["id"]
        path = f"/v1/vaults/{vault}/credentials"
        made = client.post(path, json={"auth": auth}).json()
        (old,) = keys.read_text().splitlines()

        rotated = run("seal", "rotate", *place)
        assert rotated.returncode == 0, rotated.stderr
        assert "1 secrets were put under it" in rotated.stderr
        new, kept = keys.read_text().splitlines()
        assert kept == old
        assert new.split(":")[1] not in rotated.stderr + rotated.stdout

        forgotten = run("seal", "forget", *place)
        assert (forgotten.returncode, old.split(":")[0] in forgotten.stderr) == (0, True)
        assert keys.read_text().splitlines() == [new]
        renewed = {"auth": {"type": "static_bearer", "token": "canary-2"}}
        assert client.post(f"{path}/{made['id']}", json=renewed).status_code == 200
    again = run("seal", "forget", *place)
    assert "there are no old master keys" in again.stderr
