"""Read a file of the session's sandbox."""

from pathlib import Path

from agentstead.tools.tool import Effect, Tool, in_sandbox

SCHEMA = {
    "type": "object",
    "properties": {
        "file_path": {
            "type": "string",
            "minLength": 1,
            "description": "The file, absolute or relative to /workspace.",
        },
        "view_range": {
            "type": "array",
            "items": {"type": "integer"},
            "minItems": 2,
            "maxItems": 2,
            "description": "First and last line to read, counted from 1; a last line of 0 or -1 means to the end.",
        },
    },
    "required": ["file_path"],
    "additionalProperties": False,
}

TOOL = Tool(
    name="read",
    description=Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip(),
    input_schema=SCHEMA,
    effect=Effect.READ,
    run=in_sandbox("read", SCHEMA),
)
