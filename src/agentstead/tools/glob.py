"""Find files of the session's sandbox by name."""

from pathlib import Path

from agentstead.tools.tool import Effect, Tool, in_sandbox

SCHEMA = {
    "type": "object",
    "properties": {
        "pattern": {
            "type": "string",
            "minLength": 1,
            "description": "A relative pattern, for example **/*.py or src/*.{ts,tsx}.",
        },
        "path": {
            "type": "string",
            "description": "The directory to search below; left out: /workspace.",
        },
    },
    "required": ["pattern"],
    "additionalProperties": False,
}

TOOL = Tool(
    name="glob",
    description=Path(__file__).with_suffix(".md").read_text(encoding="utf-8").strip(),
    input_schema=SCHEMA,
    effect=Effect.READ,
    run=in_sandbox("glob", SCHEMA),
)
