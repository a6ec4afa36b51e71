"""`GET /metrics`: this process's metrics, with what only the database knows counted anew."""

from agentstead.api.ports import Services
from agentstead.api.router import Raw, Router
from agentstead.errors import StoreFault
from agentstead.log.census import take_census
from agentstead.telemetry.metrics import Metrics


def metrics_router(metrics: Metrics) -> Router:
    """The route; needs no key, as it says nothing about anybody."""
    router = Router("Metrics")

    @router.get("/metrics", needs_key=False)
    async def show(services: Services) -> Raw:
        """Metrics of this process in the text format of Prometheus."""
        try:
            census = await take_census(services.database)
        except StoreFault:
            pass  # counters of this process can still be read while the database is away
        else:
            metrics.census(census.sessions, census.oldest_due_seconds)
            metrics.queues(
                [(name, each.number, each.oldest_seconds) for name, each in census.queues.items()]
            )
            queue = census.work
            metrics.work_census(queue.items, queue.oldest_queued_seconds, queue.polling)
        return Raw(metrics.render(), content_type=metrics.content_type)

    return router
