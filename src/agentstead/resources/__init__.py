"""The nouns: one file each, with its operations, SQL and routes."""

from agentstead.resources import (
    agents,
    connectors,
    environments,
    files,
    health,
    models,
    session_events,
    session_resources,
    sessions,
    skills,
    stops,
    threads,
    usage,
    vaults,
    wait,
    why,
    work,
)
from agentstead.resources.budgets import budgets

ROUTERS = (
    agents.router,
    connectors.router,
    environments.router,
    work.router,
    files.router,
    sessions.router,
    session_events.router,
    session_resources.router,
    threads.router,
    budgets.router,
    usage.router,
    skills.router,
    vaults.router,
    why.router,
    stops.router,
    wait.router,
    models.router,
    health.router,
)
"""Every router, in the order in which the API describes them."""
