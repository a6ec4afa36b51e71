"""A door: what it lets through, and what becomes of headers at it."""

import h11
import pytest

from agentstead.sandbox.egress.at_door import AtDoor
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.egress.target import Target

DOOR = Door("git.test", 8443, "Basic c2VjcmV0", "-----BEGIN")


@pytest.mark.parametrize(
    ("method", "target", "through"),
    [
        (b"GET", Target("git.test", 8443, "/a/b/info/refs?service=git-upload-pack"), True),
        (b"POST", Target("git.test", 8443, "/a/b/git-upload-pack"), True),
        (b"POST", Target("git.test", 8443, "/a/b/git-receive-pack"), False),
        (b"GET", Target("git.test", 8443, "/a/b/info/refs?service=git-receive-pack"), False),
        (b"GET", Target("git.test", 8443, "/a/b/info/refs"), False),
        (b"GET", Target("git.test", 8443, "/a/b/git-upload-pack"), False),
        (b"GET", Target("git.test", 443, "/a/b/info/refs?service=git-upload-pack"), False),
        (b"GET", Target("evil.test", 8443, "/a/b/info/refs?service=git-upload-pack"), False),
    ],
)
def test_only_reading_goes_through(method: bytes, target: Target, through: bool) -> None:
    assert (DOOR.refusal(method, target) == "") is through


def test_the_credential_goes_out_and_nothing_of_the_clients() -> None:
    headers = [("Host", "git.test:8443"), ("Authorization", "Basic bWluZQ=="), ("Cookie", "a=b"), ("Git-Protocol", "version=2")]  # fmt: skip
    sent = AtDoor(DOOR).request(h11.Request(method="GET", target="/", headers=headers))
    assert sent == [
        (b"Host", b"git.test:8443"), (b"Git-Protocol", b"version=2"), (b"Authorization", b"Basic c2VjcmV0"),
    ]  # fmt: skip
    bare = AtDoor(Door("git.test")).request(h11.Request(method="GET", target="/", headers=headers))
    assert b"Authorization" not in dict(bare)


@pytest.mark.parametrize(
    ("location", "inside"),
    [
        (b"https://git.test:8443/a/b.git/info", b"http://git.test:8443/a/b.git/info"),
        (b"HTTPS://GIT.TEST:8443/a", b"http://git.test:8443/a"),
        (b"https://git.test:8443.evil.test/a", b"https://git.test:8443.evil.test/a"),
        (b"https://evil.test/a", b"https://evil.test/a"),
        (b"/a", b"/a"),
    ],
)
def test_a_redirect_to_the_same_host_stays_at_the_door(location: bytes, inside: bytes) -> None:
    headers = [("Location", location), ("Set-Cookie", "a=b")]
    answer = AtDoor(DOOR).response(h11.Response(status_code=301, headers=headers))
    assert answer == [(b"Location", inside)]


def test_a_door_does_not_show_its_credential() -> None:
    assert "c2VjcmV0" not in repr(DOOR)
    assert (Door("git.test").name, Door("::1", 8443).name) == ("git.test", "[::1]:8443")
    assert Door("git.test").inside == "http://git.test:443/"
