"""Shows a session's events to a person as they come: words as they are written, tools, results.

What an agent or a tool wrote is shown as text whatever it holds: control characters cannot reach
the terminal.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

INPUT_CHARACTERS_MAX = 160
RESULT_LINES_MAX = 8
RESULT_CHARACTERS_MAX = 1000
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
MAIN_INPUTS = ("command", "file_path", "pattern", "query", "url")
"""The one input that says what a call is about."""


def plain(text: str) -> str:
    """Text without anything a terminal would obey."""
    return CONTROL.sub("�", text.replace("\r\n", "\n").replace("\t", "    "))


def shorten(text: str, characters_max: int = INPUT_CHARACTERS_MAX) -> str:
    """One line of at most so many characters."""
    line = " ".join(plain(text).split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"


def input_of(call: Mapping[str, Any]) -> str:
    """What a tool call is about, in one line."""
    given = call.get("input") or {}
    for name in MAIN_INPUTS:
        if isinstance(given.get(name), str):
            return shorten(given[name])
    return shorten(json.dumps(given, ensure_ascii=False))


def text_of(content: Any) -> str:
    """The text of content blocks; other kinds by name."""
    if isinstance(content, str):
        return content
    return "\n".join(
        block["text"] if block.get("type") == "text" else f"[{block.get('type')}]"
        for block in content or ()
    )


class Progress:
    """One session's events on one console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._previewed: dict[str, dict[int, str]] = {}
        self._mid_line = False
        self._showers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "event_start": self._started,
            "event_delta": self._more,
            "agent.message": self._message,
            "agent.tool_use": self._call,
            "agent.mcp_tool_use": self._call,
            "agent.custom_tool_use": self._call,
            "agent.tool_result": self._result,
            "agent.mcp_tool_result": self._result,
            "session.error": self._error,
            "session.status_terminated": self._terminated,
        }

    def show(self, event: Mapping[str, Any]) -> None:
        """Show one event or preview frame; unknown ones are passed over."""
        shower = self._showers.get(event["type"])
        if shower is not None:
            shower(event)

    def note(self, text: str, style: str = "dim") -> None:
        """A line of our own."""
        self._fresh_line()
        self._print(Text(text, style=style), end="\n")

    def _started(self, frame: Mapping[str, Any]) -> None:
        if frame["event"]["type"] == "agent.message":
            self._previewed[frame["event"]["id"]] = {}

    def _more(self, frame: Mapping[str, Any]) -> None:
        shown = self._previewed.setdefault(frame["event_id"], {})
        index = frame["delta"].get("index", 0)
        text = plain(frame["delta"]["content"].get("text", ""))
        if index not in shown:
            self._fresh_line()
        shown[index] = shown.get(index, "") + text
        self._write(text)

    def _message(self, event: Mapping[str, Any]) -> None:
        shown = self._previewed.pop(event["id"], {})
        texts = [block for block in event["content"] if block.get("type") == "text"]
        for index, block in enumerate(texts):
            text = plain(block["text"])
            done = shown.get(index, "")
            if not done or not text.startswith(done):
                self._fresh_line()
                done = ""
            self._write(text[len(done) :])
        self._fresh_line()

    def _call(self, event: Mapping[str, Any]) -> None:
        self._fresh_line()
        line = Text("● ", style="cyan").append(shorten(str(event["name"])), style="bold cyan")
        line.append("  " + input_of(event), style="default")
        if event.get("evaluated_permission") == "ask":
            line.append("  (waits for permission)", style="yellow")
        self._print(line, end="\n")

    def _result(self, event: Mapping[str, Any]) -> None:
        self._fresh_line()
        style = "red" if event.get("is_error") else "dim"
        text = plain(text_of(event.get("content")))[:RESULT_CHARACTERS_MAX].rstrip()
        lines = text.splitlines() or ["(no output)"]
        for line in lines[:RESULT_LINES_MAX]:
            self._print(Text("  │ " + line, style=style), end="\n")
        if len(lines) > RESULT_LINES_MAX:
            self._print(
                Text(f"  │ … {len(lines) - RESULT_LINES_MAX} more lines", style=style), "\n"
            )

    def _error(self, event: Mapping[str, Any]) -> None:
        error = event["error"]
        retries = (error.get("retry_status") or {}).get("type") == "retrying"
        text = f"! {plain(str(error.get('message')))}" + (" (trying again)" if retries else "")
        self.note(text, style="yellow" if retries else "red")

    def _terminated(self, _event: Mapping[str, Any]) -> None:
        self.note("! the session has ended for good", style="red")

    def _write(self, text: str) -> None:
        if text:
            self._print(Text(text), end="")
            self._mid_line = not text.endswith("\n")

    def _fresh_line(self) -> None:
        if self._mid_line:
            self._print(Text(""), end="\n")
            self._mid_line = False

    def _print(self, text: Text, end: str) -> None:
        self.console.print(text, end=end, soft_wrap=True, highlight=False)
