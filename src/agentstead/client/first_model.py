"""The model to take where none is named."""

from agentstead.client.remote import Remote
from agentstead.errors import Misconfigured

SCRIPTED = "scripted"
"""Begins the names of models that are none."""


async def first_model(remote: Remote) -> str:
    """The server's first real model, else its first; Misconfigured when it has none."""
    names = [str(model["id"]) async for model in remote.pages("/v1/models")]
    if not names:
        raise Misconfigured(
            "The server has no model.\nSet ANTHROPIC_API_KEY or AGENTSTEAD_OPENAI_BASE_URL"
            " where it runs, and restart it."
        )
    return next((name for name in names if not name.startswith(SCRIPTED)), names[0])
