"""Find text in files of the session's sandbox."""

from pathlib import Path

from agentstead.tools.tool import Effect, Tool, in_sandbox

SCHEMA = {
    "type": "object",
    "properties": {
        "pattern": {
            "type": "string",
            "minLength": 1,
            "description": "A regular expression in the syntax of Python.",
        },
        "path": {
            "type": "string",
            "description": "The file, or the directory to search below; left out: /workspace.",
        },
    },
    "required": ["pattern"],
    "additionalProperties": False,
}

TOOL = Tool(
    name="grep",
    description=Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip(),
    input_schema=SCHEMA,
    effect=Effect.READ,
    run=in_sandbox("grep", SCHEMA),
)
