"""Resources of a session: what a client sends, where it is mounted, what is refused.

Promises: a path that passes lies below its root and names something; no two mounts of a session
meet; what these checks let through is well-formed, whether it exists is another question.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, StringConstraints

from agentstead.errors import Invalid
from agentstead.wire.shape import Id, OneOf, Shape, Text

UPLOADS = "/mnt/session/uploads"
WORKSPACE = "/workspace"
FILES_MAX = 500
STORES_MAX = 8
RESOURCES_MAX = 1000
MOST = {"file": FILES_MAX, "memory_store": STORES_MAX, "github_repository": RESOURCES_MAX}
INSTRUCTIONS_MAX = 4096
NAME_BYTES_MAX = 255
"""Of one name within a path: what file systems take."""
GITHUB = "github.com"


def _one_line(path: str) -> str:
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in path):
        raise ValueError("Control characters are not allowed")
    return path


def _ref(name: str) -> str:
    if (
        re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|^[-./]|[./]$|\.lock(/|$)", name)
        or name == "@"
    ):
        raise ValueError("Not the name of a branch")
    return name


Path = Annotated[str, StringConstraints(min_length=1, max_length=4096), AfterValidator(_one_line)]


class FileResource(Shape):
    """An uploaded file, mounted read-only."""

    type: Literal["file"]
    file_id: Id
    mount_path: Path | None = None


class Branch(Shape):
    """A branch to check out."""

    type: Literal["branch"]
    name: Annotated[Text, StringConstraints(min_length=1, max_length=255), AfterValidator(_ref)]


class Commit(Shape):
    """A commit to check out."""

    type: Literal["commit"]
    sha: Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$")]


class GithubRepository(Shape):
    """A repository to clone."""

    type: Literal["github_repository"]
    url: Annotated[Text, StringConstraints(min_length=1, max_length=2048)]
    authorization_token: (
        Annotated[Text, StringConstraints(min_length=1, max_length=4096)] | None
    ) = None
    checkout: Annotated[Branch | Commit, OneOf()] | None = None
    mount_path: Path | None = None


class MemoryStore(Shape):
    """A memory store to mount."""

    type: Literal["memory_store"]
    memory_store_id: Id
    access: Literal["read_write", "read_only"] | None = None
    instructions: Annotated[Text, StringConstraints(max_length=INSTRUCTIONS_MAX)] | None = None


Resource = FileResource | GithubRepository | MemoryStore
AnyResource = Annotated[Resource, OneOf()]


class ResourceUpdate(Shape):
    """The body of an update: a repository's new token."""

    authorization_token: Annotated[Text, StringConstraints(min_length=1, max_length=4096)]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a session's resources are held to."""

    environment: str = "cloud"
    """The type of the session's environment."""
    hosts: tuple[str, ...] = (GITHUB,)
    """Where repositories may come from."""


def check(
    given: Sequence[Resource],
    rules: Rules,
    stored: Sequence[Mapping[str, Any]] = (),
    at: str | None = None,
) -> None:
    """Refuse what cannot be mounted beside `stored`, by its path; `at`: the path of a single one."""
    places = Places()
    counts = Counter(one["type"] for one in stored)
    stores = {one.get("memory_store_id") for one in stored}
    for resource in stored:
        places.take(mounted(resource), "another resource")
    for place, one in enumerate(given):
        path = f"resources.{place}." if at is None else at
        _allowed(one, path, rules)
        counts[one.type] += 1
        if counts[one.type] > MOST[one.type]:
            raise Invalid(
                f"resources: At most {MOST[one.type]} resources of type {one.type} are allowed in a "
                "session."
            )
        if isinstance(one, MemoryStore):
            if one.memory_store_id in stores:
                raise Invalid(f"{path}memory_store_id: {one.memory_store_id} is attached twice.")
            stores.add(one.memory_store_id)
            continue
        target = target_of(one, path)
        if (holder := places.holder(target)) is not None:
            raise Invalid(f"{path}mount_path: {target} is where {holder} is mounted.")
        places.take(target, path.rstrip(".") or "another resource")


class Places:
    """Where something is mounted already: neither there, nor within, nor around it is room."""

    def __init__(self) -> None:
        self.at: dict[str, str] = {}
        self.around: dict[str, str] = {}

    def holder(self, target: str) -> str | None:
        """What is mounted there, within or around."""
        return (
            self.at.get(target)
            or self.around.get(target)
            or next((self.at[one] for one in parents(target) if one in self.at), None)
        )

    def take(self, target: str, name: str) -> None:
        """Mount something."""
        self.at[target] = name
        self.around.update(dict.fromkeys(parents(target), name))


def parents(path: str) -> Iterator[str]:
    """The directories that a path lies in, without the root."""
    while path := path.rpartition("/")[0]:
        yield path


def _allowed(one: Resource, path: str, rules: Rules) -> None:
    if rules.environment == "self_hosted" and not isinstance(one, MemoryStore):
        raise Invalid(
            f"{path}type: Resources of type {one.type} are not supported for self_hosted "
            "environments, whose worker brings its own files; only memory_store is."
        )
    if isinstance(one, GithubRepository):
        repository(one.url, rules.hosts, f"{path}url")


def target_of(one: FileResource | GithubRepository, path: str = "") -> str:
    """Where in the sandbox it will lie; Invalid naming `mount_path`."""
    field = f"{path}mount_path"
    if isinstance(one, FileResource):
        return file_target(one.mount_path or default_path(one.file_id), field)
    return repository_target(one.mount_path or one.url.rpartition("/")[2], field)


def default_path(file_id: str) -> str:
    """Where a file lies when nothing was said: under the id it was uploaded with."""
    return f"{UPLOADS}/{file_id}"


def mounted(stored: Mapping[str, Any]) -> str:
    """Where a stored resource lies."""
    path: str = stored["mount_path"]
    if stored["type"] == "file":
        return file_target(path, "mount_path")
    if stored["type"] == "github_repository":
        return repository_target(path, "mount_path")
    return path


def files_of(resources: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Where the files among stored resources lie."""
    return tuple(mounted(one) for one in resources if one["type"] == "file")


def file_target(path: str, field: str) -> str:
    """A file's place: as given below the uploads, else the whole path put below them."""
    names = _names(path, field)
    root = UPLOADS.split("/")[1:]
    if path.startswith("/") and names[: len(root)] == root:
        names = names[len(root) :]
    if not names or path.endswith("/"):
        raise Invalid(f"{field}: The path must name a file below {UPLOADS}.")
    return "/".join((UPLOADS, *names))


def repository_target(path: str, field: str) -> str:
    """A repository's place: below the workspace, where relative paths begin."""
    names = _names(path, field)
    if path.startswith("/"):
        if names[:1] != [WORKSPACE[1:]]:
            raise Invalid(f"{field}: Repositories are mounted below {WORKSPACE}.")
        names = names[1:]
    if not names:
        raise Invalid(f"{field}: The path must name a directory below {WORKSPACE}.")
    return "/".join((WORKSPACE, *names))


def _names(path: str, field: str) -> list[str]:
    names = [name for name in path.split("/") if name not in ("", ".")]
    for name in names:
        if name == "..":
            raise Invalid(f'{field}: The path must not contain "..".')
        if len(name.encode(errors="surrogatepass")) > NAME_BYTES_MAX:
            raise Invalid(f"{field}: A name in it is longer than {NAME_BYTES_MAX} bytes.")
    return names


SEGMENT = re.compile(r"[A-Za-z0-9_.-]{1,100}")


def repository(url: str, hosts: Sequence[str], field: str) -> None:
    """Refuse what is not the plain address of a repository on one of these hosts."""
    host, *segments = _parts(url)
    wanted = " or ".join(f"https://{one}/<owner>/<repository>" for one in hosts)
    if host.lower() not in hosts:
        raise Invalid(f"{field}: Expected {wanted or 'nothing: no host is allowed here'}.")
    if len(segments) < 2 or (host.lower() == GITHUB and len(segments) > 2):
        raise Invalid(f"{field}: Expected {wanted}, nothing before or after it.")
    if not all(SEGMENT.fullmatch(one) and one.strip(".") for one in segments):
        raise Invalid(f"{field}: Expected {wanted}; owner and repository are plain names.")
    if segments[-1].endswith(".git"):
        raise Invalid(f'{field}: Leave out ".git": expected {wanted}.')


def _parts(url: str) -> Iterator[str]:
    scheme, separator, rest = url.partition("://")
    if scheme != "https" or not separator:
        yield ""
        return
    yield from rest.split("/")
