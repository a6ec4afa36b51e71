"""The manifest: everything the conformance tests hold the API to, by family.

Promises: an id is `family:subject`, each is in one place, and `test_coverage.py` checks that every
one is proved by a test or says why it is not, and that every test proves one.
"""

from tests.conformance.requirements import (
    agents,
    budgets,
    choices,
    connectors,
    environments,
    errors,
    events,
    files,
    mcp,
    multiagent,
    operation,
    paging,
    programs,
    resources,
    resume,
    sdks,
    sessions,
    skills,
    streams,
    threads,
    turns,
    vaults,
    work,
)
from tests.conformance.requirements.requirement import Requirement, requirement

FAMILIES: dict[str, dict[str, Requirement]] = {
    "agents": agents.REQUIREMENTS,
    "multiagent": multiagent.REQUIREMENTS,
    "environments": environments.REQUIREMENTS,
    "sessions": sessions.REQUIREMENTS,
    "resources": resources.REQUIREMENTS,
    "budgets": budgets.REQUIREMENTS,
    "connectors": connectors.REQUIREMENTS,
    "events": events.REQUIREMENTS,
    "turns": turns.REQUIREMENTS,
    "mcp": mcp.REQUIREMENTS,
    "streams": streams.REQUIREMENTS,
    "resume": resume.REQUIREMENTS,
    "threads": threads.REQUIREMENTS,
    "files": files.REQUIREMENTS,
    "paging": paging.REQUIREMENTS,
    "errors": errors.REQUIREMENTS,
    "programs": programs.REQUIREMENTS,
    "work": work.REQUIREMENTS,
    "choices": choices.REQUIREMENTS,
    "operation": operation.REQUIREMENTS,
    "sdks": sdks.REQUIREMENTS,
    "skills": skills.REQUIREMENTS,
    "vaults": vaults.REQUIREMENTS,
}

REQUIREMENTS: dict[str, Requirement] = {
    f"{family}:{name}": one for family, found in FAMILIES.items() for name, one in found.items()
}

__all__ = ["FAMILIES", "REQUIREMENTS", "Requirement", "requirement"]
