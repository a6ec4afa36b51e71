"""Agentstead: an open, self-hosted platform for production agents."""

__version__ = "0.1.0"
