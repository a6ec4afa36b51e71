"""What is run to check a repository out, and what Git's words about a failure amount to. Pure.

It runs in a sandbox of its own that nothing else is in. All the same nothing of a repository is
obeyed: no hooks, filters, submodules, helpers or other protocols.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agentstead.sandbox.egress.door import Door

FOLDER = "checkout"
"""Below the workspace of the sandbox that it is made in."""
STEP = "agentstead-step"
WORDS_MAX = 500
REFUSING: Sequence[str] = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "protocol.allow=never",
    "protocol.http.allow=always",
    "credential.helper=",
    "transfer.bundleURI=false",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "advice.detachedHead=false",
)
NO_CREDENTIAL = (
    "agentstead: no credential of this repository is in the sandbox; what needs one (push; fetch and"
    " pull of a private repository) is not possible from here."
)
HELPER = f"!f() {{ echo '{NO_CREDENTIAL}' >&2; }}; f"
NAME, EMAIL = "Agent", "agent@sandbox.invalid"
"""Who commits, unless the agent says otherwise."""
SCRIPT = """\
(
set -e
export LC_ALL=C GIT_TERMINAL_PROMPT=0 GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_LFS_SKIP_SMUDGE=1
git() { command git {options} "$@"; }
step() { echo "{STEP} $1"; }
cd /workspace
rm -rf {FOLDER}
step remote
refs=$(git ls-remote --symref {url} HEAD)
branch={branch}
commit={commit}
head=$(printf '%s\\n' "$refs" | sed -n 's/^ref: refs\\/heads\\/\\(.*\\)\\tHEAD$/\\1/p')
if [ -z "$branch$commit" ]; then
  branch=$head
  [ -n "$branch" ] || commit=$(printf '%s\\n' "$refs" | sed -n 's/^\\([0-9a-f]*\\)\\tHEAD$/\\1/p')
fi
git init -q --template= --initial-branch="${branch:-main}" {FOLDER}
cd {FOLDER}
git config remote.origin.url {url}
git config remote.origin.fetch '+refs/heads/*:refs/remotes/origin/*'
git config user.name {name}
git config user.email {email}
git config credential.helper {helper}
step fetch
if [ -n "$branch" ]; then
  git fetch -q --no-tags {depth} origin "+refs/heads/$branch:refs/remotes/origin/$branch"
  step checkout
  git checkout -q -B "$branch" --track "origin/$branch"
elif [ -n "$commit" ]; then
  git fetch -q --no-tags {depth} origin "$commit" 2>/dev/null || git fetch -q --no-tags origin
  step checkout
  git checkout -q --detach "$commit"
fi
[ -z "$head" ] || git symbolic-ref refs/remotes/origin/HEAD "refs/remotes/origin/$head"
rm -f .git/FETCH_HEAD
step done
)"""
PLACES = re.compile(r"\{([a-zA-Z]+)\}")
CHECKOUT = (
    "couldn't find remote ref",
    "not our ref",
    "pathspec",
    "unable to read tree",
    "reference is not a tree",
    "not a commit",
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a checkout failed."""

    kind: str
    """authentication | forbidden | not_found | checkout | clone"""
    message: str


def script(url: str, checkout: Mapping[str, Any] | None, door: Door, depth: int) -> str:
    """The command for the shell; `checkout` as on the wire, `depth` 0: the whole history."""
    wanted = checkout or {}
    options = [*REFUSING, f"url.{door.inside}.insteadOf=https://{door.name}/"]
    places = {
        "STEP": STEP,
        "FOLDER": FOLDER,
        "options": " ".join(f"-c {shlex.quote(option)}" for option in options),
        "url": shlex.quote(url),
        "branch": shlex.quote(wanted.get("name", "")),
        "commit": shlex.quote(wanted.get("sha", "").lower()),
        "depth": f"--depth={depth}" if depth else "",
        "name": shlex.quote(NAME),
        "email": shlex.quote(EMAIL),
        "helper": shlex.quote(HELPER),
    }
    return PLACES.sub(lambda match: places.get(match[1], match[0]), SCRIPT)


def failure(output: str, url: str, door: Door, *, ended: bool) -> Failure | None:
    """What went wrong, from what was printed; None when nothing did. `ended`: with status 0."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    steps = [line.removeprefix(STEP).strip() for line in lines if line.startswith(STEP)]
    step = steps[-1] if steps else ""
    if ended and step == "done":
        return None
    said = [line for line in lines if not line.startswith((STEP, "[exit code"))]
    words = " ".join(said).replace(door.inside, f"https://{door.name}/")[-WORDS_MAX:]
    return Failure(_kind(step, words), _sentence(_kind(step, words), words, url))


def _kind(step: str, words: str) -> str:
    if re.search(r"could not read Username|Authentication failed|error: 401", words):
        return "authentication"
    if "error: 403" in words:
        return "forbidden"
    if re.search(r"repository '[^']*' not found|error: 404|error: 410", words):
        return "not_found"
    if step == "checkout" or (step == "fetch" and any(word in words for word in CHECKOUT)):
        return "clone" if "disk limit" in words else "checkout"
    return "clone"


SENTENCES = {
    "authentication": (
        "{url} asks for a token and takes none that it was given; it may be missing, wrong or expired,"
        " or there is no such repository. Update the resource with a new authorization_token."
    ),
    "forbidden": "The token may not read {url}, or the host refuses for now (403).",
    "not_found": "There is no repository {url}, or its token may not see it.",
    "checkout": "What is to be checked out is not in {url}.",
    "clone": "{url} could not be fetched.",
}


def _sentence(kind: str, words: str, url: str) -> str:
    said = f" Git says: {words}" if words and kind in ("checkout", "clone") else ""
    return SENTENCES[kind].format(url=url) + said
