"""What Git's words amount to; that the command works is seen by the checkouts that run it."""

import pytest

from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.git_script import failure, script

URL = "https://git.test:8443/acme/tools"
DOOR = Door("git.test", 8443)


@pytest.mark.parametrize(
    ("step", "words", "kind"),
    [
        ("remote", "fatal: could not read Username for 'http://git.test:8443': terminal prompts disabled", "authentication"),
        ("remote", "fatal: Authentication failed for 'http://git.test:8443/acme/tools/'", "authentication"),
        ("remote", "fatal: unable to access '…': The requested URL returned error: 403", "forbidden"),
        ("remote", "fatal: repository 'http://git.test:8443/acme/tools/' not found", "not_found"),
        ("fetch", "fatal: couldn't find remote ref refs/heads/gone", "checkout"),
        ("checkout", "fatal: reference is not a tree: 1111", "checkout"),
        ("fetch", "fatal: early EOF", "clone"),
        ("fetch", "error: 500", "clone"),
        ("checkout", "[the disk limit of 1 MiB was reached; delete files]", "clone"),
        ("", "bash: git: command not found", "clone"),
    ],
)  # fmt: skip
def test_each_failure_has_its_kind(step: str, words: str, kind: str) -> None:
    output = f"agentstead-step {step}\n{words}\n[exit code 128]" if step else words
    found = failure(output, URL, DOOR, ended=False)
    assert found is not None
    assert found.kind == kind
    assert URL in found.message
    assert "exit code" not in found.message
    assert "http://" not in found.message


def test_only_the_last_word_with_status_0_is_success() -> None:
    done = "agentstead-step remote\nagentstead-step done\n"
    assert failure(done, URL, DOOR, ended=True) is None
    assert failure(done, URL, DOOR, ended=False) is not None
    assert failure("remote: agentstead-step done\n", URL, DOOR, ended=True) is not None


def test_what_was_asked_for_cannot_add_a_command() -> None:
    wanted = {"type": "branch", "name": "x'; touch /tmp/evil; '"}
    text = script(URL, wanted, DOOR, 7)
    assert """branch='x'"'"'; touch /tmp/evil; '"'"''""" in text
    assert text.count("--depth=7") == 2
    assert "--depth" not in script(URL, None, DOOR, 0)
