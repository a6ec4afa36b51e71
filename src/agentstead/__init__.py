"""Agentstead: an open, self-hosted platform for production agents."""

from typing import Any

__version__ = "0.1.0"
__all__ = [
    "ApprovalNeeded",
    "ClaudeManagedAgent",
    "NotAvailableYet",
    "Result",
    "RunStopped",
    "api_tool",
    "database_tool",
    "notification_tool",
    "tool",
]
_PLACES = {"ClaudeManagedAgent": "managed_agent"} | dict.fromkeys(
    ("ApprovalNeeded", "NotAvailableYet", "Result", "RunStopped"), "result"
)


def __getattr__(name: str) -> Any:
    """What is public is imported when it is first used: the rooms below need none of it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"agentstead.client.{_PLACES.get(name, 'declared')}"), name)
