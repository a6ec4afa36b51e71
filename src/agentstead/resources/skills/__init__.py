"""Skills: folders of instructions and scripts that agents may use."""

from agentstead.api.router import Router
from agentstead.resources.skills import skills, versions

router = Router("Skills")
for part in (skills, versions):
    router.routes += part.router.routes

__all__ = ["router"]
