"""Connectors: tools that are declared, kept by the platform, and called by it."""

from agentstead.resources.connectors.connectors import router

__all__ = ["router"]
