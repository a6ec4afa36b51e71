"""What this process hears of others, and what it does about it.

Notices say only that something happened; the rows are read from the log. A lost notice costs time,
never an event: after a gap everything followed is read again, and a look-round every few seconds finds
what was missed unnoticed.
"""

import asyncio
import json
from contextlib import suppress

from psycopg import Error

from agentstead.clock import Clock
from agentstead.errors import StoreFault
from agentstead.ids import EVENT, Ids
from agentstead.log.bus import GONE, INPUT, LOG, PREVIEW, WORK
from agentstead.log.dispatch import Dispatcher, News
from agentstead.log.inbox import queued_frame, seen_since
from agentstead.log.routes import farewell
from agentstead.log.tail import Channel, Frame, Hub, encoded, stored_frame
from agentstead.log.work_bell import WorkBell
from agentstead.store.pool import Database

READ_MAX = 1000
RETRY_SECONDS = 0.2
LOOK_SECONDS = 5.0
"""Between two look-rounds at the sessions that are followed."""

HEADS = """
    select s.id, s.head_seq,
           (select max(arrived) from inbox where session_id = s.id) as arrived
    from sessions s where s.id = any(%s)
"""


class Hearing:
    """Turns notices into frames, wakes and news."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        ids: Ids,
        hub: Hub,
        bell: Dispatcher,
        news: News,
        work_bell: WorkBell,
    ) -> None:
        self.database = database
        self.clock = clock
        self.ids = ids
        self.hub = hub
        self.bell = bell
        self.news = news
        self.work_bell = work_bell
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to read for those who follow."""
        self.tasks = [
            asyncio.create_task(self.reading(), name="log tail"),
            asyncio.create_task(self.looking(), name="log look-round"),
        ]

    async def close(self) -> None:
        """Stop."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

    def hear(self, kind: str, words: str) -> None:
        """One notice of another process."""
        if kind == PREVIEW:
            preview = json.loads(words)
            self.hub.publish_preview(preview["s"], preview["t"], preview["f"])
            return
        session_id, _, rest = words.partition(" ")
        if kind == WORK:
            self.work_bell.ring(session_id)  # of an environment
        elif kind == LOG:
            self.hub.heard(session_id, int(rest))
        elif kind == INPUT:
            self.news.tell(session_id, int(rest))
            self.hub.heard_input(session_id, int(rest))
            self.bell.heard()
        elif kind == GONE:
            self.hub.deleted(session_id, gone_frame(rest))

    def resync(self) -> None:
        """Notices may have been missed."""
        self.hub.resync()
        self.news.alarm()
        self.bell.ring()
        self.work_bell.alarm()

    async def looking(self) -> None:
        """Look round, again and again."""
        while True:
            await self.clock.sleep(LOOK_SECONDS)
            with suppress(StoreFault, Error):
                await self.look()

    async def look(self) -> None:
        """Compare what was heard of the followed sessions with what is."""
        followed = list(self.hub.channels)
        if not followed:
            return
        rows = {row["id"]: row for row in await self.database.fetch(HEADS, (followed,))}
        for session_id in followed:
            if row := rows.get(session_id):
                self.hub.heard(session_id, row["head_seq"])
                self.hub.heard_input(session_id, row["arrived"] or 0)
            else:
                self.hub.doubted(session_id)

    async def reading(self) -> None:
        """Read what the hub is behind with, again and again."""
        while True:
            await self.hub.wanted.wait()
            self.hub.wanted.clear()
            behind, self.hub.behind = self.hub.behind, set()
            failed: set[str] = set()
            for session_id in behind:
                try:
                    await self.catch_up(session_id)
                except (StoreFault, Error):
                    failed.add(session_id)
            if failed:
                await self.clock.sleep(RETRY_SECONDS)
                self.hub.behind |= failed
                self.hub.wanted.set()

    async def catch_up(self, session_id: str) -> None:
        """Publish the queued input and the events that this process has not published yet."""
        while (channel := self.hub.channels.get(session_id)) and channel.cursor is not None:
            if channel.doubtful and not await self.exists(session_id, channel):
                return
            if channel.input_wanted:
                await self.catch_up_input(session_id, channel)
            rows = await self.database.fetch(
                "select seq, id, thread_id, type, primary_view, payload::text as text from events"
                " where session_id = %s and seq > %s order by seq limit %s",
                (session_id, channel.cursor, READ_MAX),
            )
            self.hub.publish(session_id, [stored_frame(row) for row in rows])
            if len(rows) < READ_MAX:
                break

    async def catch_up_input(self, session_id: str, channel: Channel) -> None:
        """Publish queued input; what arrives while this reads is wanted anew.

        Streams that have begun here get the latest batch, so it is marked as seen by their views.
        """
        channel.input_wanted = False
        try:
            queued = await seen_since(
                self.database, session_id, channel.arrived, self.hub.views(session_id)
            )
        except BaseException:
            channel.input_wanted = True
            raise
        if queued:
            channel.arrived = queued[-1]["arrived"]
        self.hub.publish_queued(
            session_id,
            [queued_frame(row["id"], row["type"], row["thread_id"], row["text"]) for row in queued],
        )

    async def exists(self, session_id: str, channel: Channel) -> bool:
        """Whether the session is still there; when it is not, its streams end."""
        channel.doubtful = False
        try:
            row = await self.database.fetch_one(
                "select id from sessions where id = %s", (session_id,)
            )
        except BaseException:
            channel.doubtful = True
            raise
        if row is None:
            _, frame, _ = farewell(self.ids.new(EVENT), "", self.clock.now())
            self.hub.deleted(session_id, frame)
        return row is not None


def gone_frame(text: str) -> Frame:
    """`session.deleted` as another process wrote it."""
    payload = json.loads(text)
    return Frame(0, payload["id"], None, True, payload["type"], encoded(payload["type"], text))
