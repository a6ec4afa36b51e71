"""What the egress proxies of this host decide becomes lines of the platform's log, and metrics."""

import asyncio
from pathlib import Path

from agentstead.clock import Clock
from agentstead.sandbox.decisions import Decision, Traffic, take
from agentstead.telemetry import logs
from agentstead.telemetry.metrics import Metrics

log = logs.get("egress")


async def note_egress(sandboxes: Path, clock: Clock, metrics: Metrics) -> None:
    """Write down what was decided since the last time; `sandboxes` is their folder."""
    taken = await asyncio.to_thread(lambda: list(take(sandboxes, clock)))
    for one in taken:
        if isinstance(one, Traffic):
            metrics.moved(one.sent, one.received)
            if one.lost:
                log.warning("decisions left out", session_id=one.session_id, count=one.lost)
        else:
            metrics.egress(one.decision, one.reason, one.count)
            write(one)


def write(decision: Decision) -> None:
    """One line."""
    tell = log.info if decision.decision == "allowed" else log.warning
    tell(
        f"request {decision.decision}",
        session_id=decision.session_id,
        call_id=decision.call_id or None,
        method=decision.method,
        host=decision.host,
        port=decision.port,
        address=decision.address,
        reason=decision.reason or None,
        credentials=decision.credentials,
        count=decision.count,
    )
