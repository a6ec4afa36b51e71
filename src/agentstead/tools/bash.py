"""Run a shell command in the session's sandbox."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentstead.tools.tool import Effect, Tool, in_sandbox

SCHEMA = {
    "type": "object",
    "properties": {
        "command": {
            "type": "string",
            "description": "The command to run. May be left out only with restart.",
        },
        "restart": {
            "type": "boolean",
            "description": "true: end the shell and everything it started, and begin a new one.",
        },
        "timeout_ms": {
            "type": "integer",
            "minimum": 0,
            "description": "Milliseconds after which the command is ended; 0 or left out: the default.",
        },
    },
    "additionalProperties": False,
}


def check(tool_input: Mapping[str, Any]) -> str | None:
    """What the schema cannot say."""
    command = tool_input.get("command", "")
    if not tool_input.get("restart") and not command.strip():
        return "command: is required"
    return "command: contains a NUL character" if "\0" in command else None


TOOL = Tool(
    name="bash",
    description=Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip(),
    input_schema=SCHEMA,
    effect=Effect.WRITE,
    run=in_sandbox("bash", SCHEMA, check),
)
