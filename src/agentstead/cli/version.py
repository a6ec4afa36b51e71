"""`agentstead version`: which version this is."""

from agentstead import __version__


def version() -> None:
    """Print the version."""
    print(f"agentstead {__version__}")
