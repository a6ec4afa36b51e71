"""For programs that use the platform: agents by declaration, and sessions followed to their end."""

from agentstead.client.follow import follow

__all__ = ["follow"]
