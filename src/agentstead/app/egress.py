"""The network of sandboxes, as this platform's operator sets it up; what it decides goes to the log."""

import asyncio

from agentstead.app.rooms import Rooms
from agentstead.sandbox.decisions import Decision, Traffic, take
from agentstead.telemetry import logs

log = logs.get("egress")


async def note_egress(rooms: Rooms) -> None:
    """Write down what the proxies of this host have decided since the last time."""
    taken = await asyncio.to_thread(lambda: list(take(rooms.sandbox.root, rooms.clock)))
    for one in taken:
        if isinstance(one, Traffic):
            rooms.metrics.moved(one.sent, one.received)
            if one.lost:
                log.warning("decisions left out", session_id=one.session_id, count=one.lost)
        else:
            rooms.metrics.egress(one.decision, one.reason, one.count)
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
        count=decision.count,
    )
