"""The work queue of self-hosted environments: routes, states, leases and the secrets of items."""

from agentstead.resources.work.routes import router

__all__ = ["router"]
