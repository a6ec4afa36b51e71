"""Declared tools: APIs, databases and channels that the platform itself serves, as MCP servers."""
