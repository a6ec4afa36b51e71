"""What a model may call: one file per tool, the text the model reads beside it."""

from collections.abc import Mapping
from importlib import import_module

from agentstead.tools.tool import Tool

TOOLS: Mapping[str, str] = {
    "bash": "agentstead.tools.bash:TOOL",
    "read": "agentstead.tools.read:TOOL",
    "write": "agentstead.tools.write:TOOL",
    "edit": "agentstead.tools.edit:TOOL",
    "glob": "agentstead.tools.glob:TOOL",
    "grep": "agentstead.tools.grep:TOOL",
}
"""Every tool there is, in the order in which a model is offered them."""
OFFERED = tuple(TOOLS)
NOT_YET: Mapping[str, str] = {
    "web_fetch": "web_fetch is not available yet in this version; a sandbox with a network can fetch with curl.",
    "web_search": "web_search is not available yet: no search provider can be connected in this version.",
}
"""Tools that may be named in an agent and are not offered to its model, and why."""


def load() -> dict[str, Tool]:
    """Every tool, by name."""
    tools = {}
    for name, target in TOOLS.items():
        module, _, attribute = target.partition(":")
        tool = getattr(import_module(module), attribute)
        assert isinstance(tool, Tool)
        assert tool.name == name
        tools[name] = tool
    return tools
