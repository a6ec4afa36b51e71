"""Health: is this process up, and can work be done?"""

from agentstead.api.ports import Services
from agentstead.api.router import Raw, Router
from agentstead.errors import StoreFault
from agentstead.log.census import live_workers, take_census
from agentstead.wire.shape import canonical

router = Router("Health")
DUE_SECONDS_MAX = 10.0
"""A session that is due for longer has no worker that keeps up."""


@router.get("/healthz", needs_key=False)
async def healthz(services: Services) -> Raw:
    """Whether this process is up."""
    del services
    return Raw(b'{"status":"ok"}')


@router.get("/readyz", needs_key=False)
async def readyz(services: Services) -> Raw:
    """Whether work can be done: database, workers, sandboxes, and none that waits too long."""
    problems = list(services.hands_problems())
    try:
        census = await take_census(services.database)
        if census.oldest_due_seconds > DUE_SECONDS_MAX:
            problems.append(
                f"A session has waited {census.oldest_due_seconds:.0f} s for a worker; "
                "start more workers or look at their logs."
            )
        if not await live_workers(services.database):
            problems.append(
                "No worker is running; start one with `agentstead worker`, or serve with --workers."
            )
    except StoreFault:
        problems.append("The database cannot be reached.")
    status = "not ready" if problems else "ready"
    body = canonical({"status": status, "problems": problems}).encode()
    return Raw(body, 503 if problems else 200)
