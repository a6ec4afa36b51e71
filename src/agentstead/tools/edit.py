"""Replace text in a file of the session's sandbox."""

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
        "old_string": {
            "type": "string",
            "minLength": 1,
            "description": "The text to replace, exactly as it is in the file.",
        },
        "new_string": {"type": "string", "description": "What to put in its place."},
        "replace_all": {
            "type": "boolean",
            "description": "true: replace every place where old_string occurs.",
        },
    },
    "required": ["file_path", "old_string", "new_string"],
    "additionalProperties": False,
}

TOOL = Tool(
    name="edit",
    description=Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip(),
    input_schema=SCHEMA,
    effect=Effect.WRITE,
    run=in_sandbox("edit", SCHEMA),
)
