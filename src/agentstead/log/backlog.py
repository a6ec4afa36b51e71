"""A stream that has much to catch up with: pages of the log first, then live.

Promises: a page is read when the client has taken the one before, so a long log costs neither
memory nor a place in anybody's queue; at the end of the log it becomes a subscriber like any other,
without a gap or a duplicate.
"""

from collections import deque
from collections.abc import Awaitable, Callable

from agentstead.errors import NotFound
from agentstead.log.follow import REPLAY_MAX, SINCE
from agentstead.log.log import Follower
from agentstead.log.tail import LAST_TYPES, shown_in, stored_frame
from agentstead.store.pool import Database

Go = Callable[[int], Awaitable[Follower]]
"""Opens a stream after an event of the log; it may be another backlog when much came meanwhile."""


class Backlog:
    """Follows one session from an event long ago."""

    def __init__(
        self,
        database: Database,
        session_id: str,
        view: str | None,
        primary_thread_id: str,
        after: int,
        go_on: Go,
    ) -> None:
        self.database = database
        self.session_id = session_id
        self.view = view
        self.primary_thread_id = primary_thread_id
        self.after = after
        self.go_on = go_on
        self.page: deque[bytes] = deque()
        self.live: Follower | None = None
        self.over = False
        self.closed = False

    async def next(self, timeout_seconds: float) -> bytes | None:
        """The next frame, None on time-out; StopAsyncIteration when the stream is over."""
        while True:
            if self.page:
                return self.page.popleft()
            if self.live is not None:
                return await self.live.next(timeout_seconds)
            if self.over:
                raise StopAsyncIteration
            await self.turn_page()

    async def turn_page(self) -> None:
        """Read on; at the end of the log go live."""
        rows = await self.database.fetch(SINCE, (self.session_id, self.after, REPLAY_MAX))
        frames = [stored_frame(row) for row in rows]
        if frames:
            self.after = frames[-1].seq
        shown = [one for one in frames if shown_in(one, self.view, self.primary_thread_id)]
        self.page.extend(one.data for one in shown)
        self.over = any(one.type in LAST_TYPES for one in shown)
        if self.over or len(rows) == REPLAY_MAX:
            return
        try:
            live = await self.go_on(self.after)
        except NotFound:  # deleted meanwhile
            self.over = True
            return
        if self.closed:
            await live.close()
        self.live = live

    async def close(self) -> None:
        """Unsubscribe."""
        self.closed = True
        if self.live is not None:
            await self.live.close()
