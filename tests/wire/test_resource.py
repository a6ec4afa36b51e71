"""Where resources are mounted, and which are refused."""

import pytest

from agentstead.errors import Invalid
from agentstead.wire.resource import (
    FILES_MAX,
    STORES_MAX,
    FileResource,
    GithubRepository,
    MemoryStore,
    Resource,
    Rules,
    check,
    repository,
    target_of,
)
from agentstead.wire.shape import validate

URL = "https://github.com/acme/tools"


def file(path: str | None = None, file_id: str = "file_1") -> FileResource:
    return FileResource(type="file", file_id=file_id, mount_path=path)


def repo(path: str | None = None, url: str = URL) -> GithubRepository:
    return GithubRepository(type="github_repository", url=url, mount_path=path)


# clients rule 13: the three forms that occur, and what was seen of the last.
@pytest.mark.parametrize(
    ("given", "target"),
    [
        (None, "/mnt/session/uploads/file_1"),
        ("calc.py", "/mnt/session/uploads/calc.py"),
        ("logs/a.log", "/mnt/session/uploads/logs/a.log"),
        ("./a//b/./c", "/mnt/session/uploads/a/b/c"),
        ("/data.csv", "/mnt/session/uploads/data.csv"),
        ("/mnt/session/uploads/data.csv", "/mnt/session/uploads/data.csv"),
        ("//mnt/session//uploads/data.csv", "/mnt/session/uploads/data.csv"),
        ("/mnt/user-data/x/y.md", "/mnt/session/uploads/mnt/user-data/x/y.md"),
        ("mnt/session/uploads/x", "/mnt/session/uploads/mnt/session/uploads/x"),
        ("/mnt/session/uploadsx/y", "/mnt/session/uploads/mnt/session/uploadsx/y"),
        ("..a/b..", "/mnt/session/uploads/..a/b.."),
    ],
)
def test_a_file_lies_below_the_uploads(given: str | None, target: str) -> None:
    assert target_of(file(given)) == target


# clients rule 21: relative paths of repositories begin in the workspace.
@pytest.mark.parametrize(
    ("given", "target"),
    [
        (None, "/workspace/tools"),
        ("infra", "/workspace/infra"),
        ("src/lib", "/workspace/src/lib"),
        ("/workspace/cookbook", "/workspace/cookbook"),
        ("/workspace//cookbook/", "/workspace/cookbook"),
        ("workspace", "/workspace/workspace"),
    ],
)
def test_a_repository_lies_in_the_workspace(given: str | None, target: str) -> None:
    assert target_of(repo(given)) == target


@pytest.mark.parametrize(
    "resource",
    [
        file("../x"), file("a/../b"), file("/mnt/session/uploads/../x"), file("/.."), file("/"),
        file("."), file("a/"), file("/mnt/session/uploads"), file("/mnt/session/uploads/"),
        file("x" * 256), file("é" * 128), repo("/srv/x"), repo("/workspacex/y"), repo("/workspace"),
        repo("/workspace/"), repo("a/../../b"), repo("/"), repo("."),
    ],
)  # fmt: skip
def test_a_path_that_leads_out_or_nowhere_is_refused(resource: FileResource) -> None:
    with pytest.raises(Invalid, match=r"^resources\.0\.mount_path: "):
        check([resource], Rules())


@pytest.mark.parametrize(
    "pair",
    [
        (file("a"), file("/a", "file_2")),
        (file("a"), file("/mnt/session/uploads/./a", "file_2")),
        (file("a"), file("a/b", "file_2")),
        (file("a/b/c"), file("a", "file_2")),
        (file(), file()),
        (repo(), repo("tools", "https://github.com/other/x")),
        (repo("a"), repo("a/b")),
    ],
)
def test_two_mounts_never_meet(pair: tuple[Resource, Resource]) -> None:
    with pytest.raises(Invalid, match=r"^resources\.1\.mount_path: .*is where resources\.0 is"):
        check(pair, Rules())
    stored = {"type": pair[0].type, "mount_path": target_of(pair[0])}  # type: ignore[arg-type]
    with pytest.raises(Invalid, match=r"^mount_path: .*is where another resource is"):
        check(pair[1:], Rules(), [stored], "")


def test_neighbours_do_not_meet() -> None:
    check([file("a"), file("ab"), file("b/a"), file("b/c"), repo(), repo("b")], Rules())


@pytest.mark.parametrize(
    "url",
    [
        "http://github.com/a/b", "git@github.com:a/b.git", "ssh://git@github.com/a/b", "github.com/a/b",
        "https://github.com/a/b.git", "https://github.com/a", "https://github.com/a/b/",
        "https://github.com/a/b/tree/main", "https://github.com/a/b?x=1", "https://github.com/a/b#x",
        "https://token@github.com/a/b", "https://github.com:443/a/b", "https://gitlab.com/a/b",
        "https://github.com.evil.example/a/b", "https://github.com/a/..", "https://github.com//b",
        "https://github.com/a/b c", "https://github.com/a/b\n",
    ],
)  # fmt: skip
def test_what_is_not_a_repositorys_plain_address_is_refused(url: str) -> None:
    with pytest.raises(Invalid, match=r"^resources\.0\.url: .*https://github\.com/<owner>"):
        check([repo("x", url)], Rules())


def test_the_operator_may_allow_other_hosts() -> None:
    hosts = ("git.example.com:8443", "github.com")
    repository("https://GIT.example.com:8443/group/below/repo", hosts, "url")
    repository("https://github.com/a/b", hosts, "url")
    with pytest.raises(Invalid, match="no host is allowed"):
        repository("https://github.com/a/b", (), "url")


def test_there_are_limits_to_what_a_session_has() -> None:
    files = [file(str(number), f"file_{number}") for number in range(FILES_MAX + 1)]
    check(files[:-1], Rules())
    with pytest.raises(Invalid, match="resources: At most 500 resources of type file"):
        check(files, Rules())
    stored = [{"type": "file", "mount_path": str(number)} for number in range(FILES_MAX)]
    with pytest.raises(Invalid, match="At most 500"):
        check(files[-1:], Rules(), stored, "")
    stores = [
        MemoryStore(type="memory_store", memory_store_id=f"memstore_{number}")
        for number in range(STORES_MAX + 1)
    ]
    check(stores[:-1], Rules())
    with pytest.raises(Invalid, match="resources: At most 8 resources of type memory_store"):
        check(stores, Rules())
    with pytest.raises(
        Invalid, match=r"resources\.1\.memory_store_id: memstore_0 is attached twice"
    ):
        check([stores[0], stores[0]], Rules())


def test_a_self_hosted_environment_takes_memory_stores_only() -> None:
    rules = Rules("self_hosted")
    for refused in (file(), repo()):
        with pytest.raises(Invalid, match=r"resources\.0\.type: .*not supported for self_hosted"):
            check([refused], rules)
    check([MemoryStore(type="memory_store", memory_store_id="memstore_1")], rules)


BRANCH = {"type": "github_repository", "url": URL}


@pytest.mark.parametrize(
    "name", ["", "-x", "a..b", "a b", "a~1", "a^", "a:b", "a\\b", "x.lock", "a/", "/a", "@", "a//b"]
)
def test_a_branch_has_a_name_that_git_takes(name: str) -> None:
    with pytest.raises(Invalid, match=r"^checkout\.name: "):
        validate(GithubRepository, {**BRANCH, "checkout": {"type": "branch", "name": name}})


def test_a_checkout_is_a_branch_or_a_whole_commit() -> None:
    for good in ("main", "feature/x-1", "v1.2", "@x"):
        validate(GithubRepository, {**BRANCH, "checkout": {"type": "branch", "name": good}})
    for sha in ("a" * 40, "0" * 64):
        validate(GithubRepository, {**BRANCH, "checkout": {"type": "commit", "sha": sha}})
    for wrong in ("abc1234", "g" * 40, ""):
        with pytest.raises(Invalid, match=r"^checkout\.sha: "):
            validate(GithubRepository, {**BRANCH, "checkout": {"type": "commit", "sha": wrong}})
    with pytest.raises(Invalid, match=r"^checkout\.type: "):
        validate(GithubRepository, {**BRANCH, "checkout": {"type": "tag", "name": "x"}})
