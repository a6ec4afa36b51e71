"""A session's events, each once, in order, however often the connection breaks.

The recipe that every client needs: subscribe first, then read the log for what came before, pass over
what was seen, and do so again after every break.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentstead.client.remote import OPENED, Json, Refused, Remote, Unreachable
from agentstead.clock import Clock, SystemClock
from agentstead.settings import Settings, load

FAILURES_MAX = 20
"""In a row; then the last one is raised."""
PAUSE_SECONDS = 0.5
ENDS = frozenset({"session.status_terminated", "session.deleted"})


async def follow(
    session_id: str, *, base_url: str | None = None, api_key: str | None = None
) -> AsyncGenerator[Json, None]:
    """Every event of a session, from its first, and those to come, until it ends.

    `base_url`, `api_key`: as `AGENTSTEAD_BASE_URL` and `AGENTSTEAD_API_KEY` where left out, and else of
    the server that holds the data directory. Raises Refused (also where there is no such session),
    Unreachable once the server has not answered twenty times in a row, Misconfigured.
    """
    from agentstead.client.place import found_place

    settings: Settings = load(base_url=base_url, api_key=api_key)
    place = await found_place(settings)
    async with (
        Remote(place.url, place.key) as remote,
        aclosing(following(remote, session_id, SystemClock())) as events,
    ):
        async for event in events:
            yield event


async def following(
    remote: Remote, session_id: str, clock: Clock, *, deltas: bool = False
) -> AsyncGenerator[Json, None]:
    """The same, over a connection that is there. `deltas`: messages in the making too, which have no id."""
    seen: set[str] = set()
    failures = 0
    while True:
        try:
            async with aclosing(_once(remote, session_id, deltas)) as events:
                async for event in events:
                    failures = 0
                    event_id = event.get("id")
                    if event_id in seen:
                        continue
                    if event_id and event.get(
                        "processed_at"
                    ):  # one that waits comes again when it is taken in
                        seen.add(event_id)
                    yield event
                    if event["type"] in ENDS:
                        return
        except (Unreachable, Refused) as error:
            failures += 1
            passing = isinstance(error, Unreachable) or error.status >= 500
            if not passing or failures > FAILURES_MAX:
                raise
        await clock.sleep(PAUSE_SECONDS)


async def _once(remote: Remote, session_id: str, deltas: bool) -> AsyncGenerator[Json, None]:
    """The log so far, then what comes, until the connection ends."""
    async with aclosing(remote.events(session_id, deltas=deltas)) as frames:
        async for frame in frames:
            if frame["type"] != OPENED:
                yield frame
                continue
            async for event in remote.pages(f"/v1/sessions/{session_id}/events"):
                yield event
