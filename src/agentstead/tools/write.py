"""Write a file of the session's sandbox."""

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
        "content": {"type": "string", "description": "The whole content of the file."},
    },
    "required": ["file_path", "content"],
    "additionalProperties": False,
}

TOOL = Tool(
    name="write",
    description=Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip(),
    input_schema=SCHEMA,
    effect=Effect.WRITE,
    run=in_sandbox("write", SCHEMA),
)
