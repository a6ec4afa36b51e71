"""Vaults: credentials that agents use and never see."""

from agentstead.resources.vaults.routes import router
from agentstead.resources.vaults.vaults import live

__all__ = ["live", "router"]
