"""The search tools, inside: glob and grep, in plain Python so that no image needs more than that."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator

from agentstead.sandbox.supervisor.runner.files import HOME, ToolError, absolute, reason

TYPE_CHECKING = False  # importing typing would cost a tenth of a sandbox's start
if TYPE_CHECKING:
    from typing import Any

ENTRIES_MAX = 50_000
"""Directory entries looked at before a walk gives up."""
GLOB_RESULTS_MAX = 200
GREP_BYTES_MAX = 100 << 10
GREP_LINE_BYTES_MAX = 2000
"""Longer lines are passed over: they are data, and a pattern may take for ever on them."""
BRANCHES_MAX = 64
SKIPPED = (".git", "node_modules")


def glob(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Paths that match a pattern, newest first."""
    pattern = given["pattern"]
    if pattern.startswith("/"):
        raise ToolError("glob: the pattern must be relative; give the directory as path")
    if ".." in pattern.split("/"):
        raise ToolError("glob: '..' is not allowed in the pattern; give the directory as path")
    top = _directory(given.get("path"), "glob")
    matchers = [re.compile(_translate(branch)) for branch in _branches(pattern)]
    found = []
    for entry in _walk(top):
        inside = os.path.relpath(entry.path, top)
        if any(matcher.fullmatch(inside) for matcher in matchers):
            try:
                found.append((entry.stat(follow_symlinks=False).st_mtime, entry.path))
            except OSError:
                continue
    found.sort(key=lambda item: (-item[0], item[1]))
    return _lines([path for _, path in found[:GLOB_RESULTS_MAX]])


def grep(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Lines that match a regular expression, as `file:line:text`."""
    try:
        pattern = re.compile(given["pattern"])
    except re.error as error:
        raise ToolError(f"grep: pattern is not a valid regular expression: {error}") from None
    path = absolute(given.get("path") or HOME)
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise ToolError(f"grep: {given.get('path')}: {reason(error)}") from None
    found: list[str] = []
    size = 0
    for file in _files(path, mode):
        for hit in _hits(pattern, file):
            size += len(hit.encode("utf-8", "replace")) + 1
            if size > GREP_BYTES_MAX:
                found.append(f"[more matches than {GREP_BYTES_MAX} bytes: search more narrowly]")
                return _lines(found)
            found.append(hit)
    return _lines(found)


def _lines(found: list[str]) -> list[dict[str, Any]]:
    text = "\n".join(found).encode("utf-8", "replace").decode("utf-8") if found else "no matches"
    return [{"type": "text", "text": text}]


def _directory(path: str | None, tool: str) -> str:
    top = os.path.normpath(absolute(path or HOME))
    try:
        if not stat.S_ISDIR(os.stat(top).st_mode):
            raise ToolError(f"{tool}: {path}: not a directory")
    except OSError as error:
        raise ToolError(f"{tool}: {path}: {reason(error)}") from None
    return top


def _walk(top: str, skipped: tuple[str, ...] = ()) -> Iterator[os.DirEntry[str]]:
    # symbolic links to directories are not followed: they could lead round in circles
    seen, waiting = 0, [top]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except OSError:
            continue
        for entry in sorted(entries, key=lambda entry: entry.name, reverse=True):
            seen += 1
            if seen > ENTRIES_MAX:
                return
            if entry.is_dir(follow_symlinks=False) and entry.name not in skipped:
                waiting.append(entry.path)
            yield entry


def _files(path: str, mode: int) -> Iterator[str]:
    if not stat.S_ISDIR(mode):
        if stat.S_ISREG(mode):
            yield path
        return
    for entry in _walk(os.path.normpath(path), SKIPPED):
        if entry.is_file(follow_symlinks=False):
            yield entry.path


def _hits(pattern: re.Pattern[str], path: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            if b"\0" in file.read(512):
                return
            file.seek(0)
            for number, line in enumerate(file, 1):
                if len(line) > GREP_LINE_BYTES_MAX:
                    continue
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                if pattern.search(text):
                    yield f"{path}:{number}:{text}"
    except OSError:
        return


def _branches(pattern: str) -> list[str]:
    """The pattern with each `{a,b}` written out."""
    done: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        match = re.search(r"\{([^{}]*)\}", text)
        if match is None or len(done) + len(waiting) > BRANCHES_MAX:
            done.append(text)
            continue
        waiting += [
            text[: match.start()] + choice + text[match.end() :]
            for choice in match.group(1).split(",")
        ]
    return done


def _translate(pattern: str) -> str:
    """A doublestar pattern as a regular expression on the path relative to the top."""
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    out = ""
    for place, part in enumerate(parts):
        last = place == len(parts) - 1
        if part == "**":
            out += ".+" if last else "(?:[^/]+/)*"
        else:
            out += _segment(part) + ("" if last else "/")
    return out


def _segment(part: str) -> str:
    out, place = "", 0
    while place < len(part):
        sign = part[place]
        if sign == "*":
            out += "[^/]*"
        elif sign == "?":
            out += "[^/]"
        elif sign == "[" and "]" in part[place + 2 :]:
            end = part.index("]", place + 2)
            body = part[place + 1 : end].replace("\\", "\\\\").replace("[", "\\[")
            out += "[" + ("^" + body[1:] if body[0] in "!^" else body) + "]"
            place = end
        else:
            out += re.escape(sign)
        place += 1
    return out
