"""Where package managers look: they are asked, and their answers read."""

import shutil

import pytest

from agentstead.sandbox import managers
from agentstead.sandbox.managers import PackageHosts, hosts_in


def test_hosts_are_found_in_what_managers_say() -> None:
    said = [
        "https://Index.example/simple https://files.example",
        "https://user:secret@mirror.example:8443/simple\nhttps://index.example/other",
        "deb [signed-by=/usr/share/x.gpg] http://deb.example/debian stable main",
        "*** CURRENT SOURCES ***\n\nhttps://gems.example/\n",
        "https://proxy.example,direct",
        "file:///opt/simple",
        "https://127.1/ undefined",
    ]
    assert hosts_in(said) == (
        "index.example", "files.example", "mirror.example", "deb.example", "gems.example", "proxy.example",
    )  # fmt: skip


async def test_what_is_installed_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    answer = managers._answer

    async def counted(question: managers.Sequence[str]) -> str:
        asked.append(question[0])
        return await answer(question)

    monkeypatch.setattr(managers, "_answer", counted)
    package_hosts = PackageHosts()
    first = await package_hosts.hosts()
    assert await package_hosts.hosts() == first
    assert len(asked) == len(managers.QUESTIONS)
    if shutil.which("npm", path=managers.SYSTEM_PATH):
        assert first


async def test_one_that_does_not_answer_names_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(managers, "ASK_SECONDS", 0.1)
    assert await managers._answer(("sleep", "30")) == ""
    assert await managers._answer(("no-such-manager", "config")) == ""
