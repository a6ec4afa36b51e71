"""The thirteen routes of vaults as one router."""

from agentstead.api.router import Router
from agentstead.resources.vaults import credentials, validation, vaults

router = Router("Vaults")
for part in (vaults, credentials, validation):
    router.routes += part.router.routes
