"""From the log to subscribers: one hub per process.

A subscriber registers first and is then told from where on it wants events; what is published in
between is held for it, so that there is neither a gap nor a duplicate. Frames are encoded once.
Own appends are published at once; of others' the hub hears by notices and reads them. A subscriber
that does not keep up is dropped and must resume or list again; it never holds up a writer.

A frame from the log carries its event's id, so that a client that was cut off can say where it was.
Queued input and previews carry none: they have no place in the log.
"""

import asyncio
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from agentstead.clock import Clock, SystemClock
from agentstead.log.bus import preview_id
from agentstead.log.dispatch import waited
from agentstead.log.rows import text_of
from agentstead.wire.events.stored import Event

QUEUE_FRAMES_MAX = 2_000
QUEUE_BYTES_MAX = 16 << 20
FINISHED_MAX = 200
"""Ids whose preview is over, kept against late deltas."""
KNOWN_MAX = 1_000

QUEUED_TYPES = frozenset({"user.message", "user.tool_confirmation", "system.message"})
"""Streamed when they are queued, and again when they are taken in."""
LAST_TYPES = frozenset({"session.status_terminated", "session.deleted"})
TURN_ENDS = frozenset({"session.status_idle", "session.status_terminated"})


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it goes over the wire. `seq` 0: queued input."""

    seq: int
    id: str
    thread_id: str | None
    primary: bool
    type: str
    data: bytes


def encoded(name: str, text: str, event_id: str | None = None) -> bytes:
    """An SSE frame of a JSON text without line breaks; with `event_id` one can resume after it."""
    place = f"id: {event_id}\n" if event_id else ""
    return f"{place}event: {name}\ndata: {text}\n\n".encode()


def frame_of(event: Event, text: str) -> Frame:
    """A logged event."""
    return Frame(
        event.seq, event.id, event.thread_id, event.primary, event.type,
        encoded(event.type, text, event.id),
    )  # fmt: skip


def stored_frame(row: Mapping[str, Any]) -> Frame:
    """A row with its payload as text."""
    return Frame(
        row["seq"], row["id"], row["thread_id"], row["primary_view"], row["type"],
        encoded(row["type"], row["text"], row["id"]),
    )  # fmt: skip


def shown_in(frame: Frame, view: str | None, primary_thread_id: str) -> bool:
    """Whether a frame belongs to the session's own view (None) or to a thread's."""
    if view is None:
        return frame.primary
    return (frame.thread_id or primary_thread_id) == view


class Subscriber:
    """One open stream of a session (`view` None) or of one thread."""

    def __init__(
        self, hub: "Hub", session_id: str, view: str | None, previews: frozenset[str]
    ) -> None:
        self.hub = hub
        self.session_id = session_id
        self.view = view
        self.primary_thread_id = ""
        self.previews = previews
        self.held: list[Frame] | None = []
        """Published before `begin`; None afterwards."""
        self.after = 0
        self.replay: deque[bytes] = deque()
        """What it gets first; not counted against its queue."""
        self.queue: deque[bytes] = deque()
        self.queue_bytes = 0
        self.known: dict[str, None] = {}
        """Ids of client input that went out here, so that a queued form never comes late or twice."""
        self.started: set[str] = set()
        """Ids whose preview began here."""
        self.ready = asyncio.Event()
        self.over = False
        self.rested_at: float | None = None
        """When the session's turn ended, while nothing has begun since and no answer is awaited."""

    def begin(
        self, primary_thread_id: str, after: int, queued: Iterable[str], replay: Iterable[Frame]
    ) -> None:
        """Send `replay`, then everything after `after`, but no more of what was `queued` by then."""
        self.primary_thread_id = primary_thread_id
        held, self.held, self.after = self.held or [], None, after
        self.known.update(dict.fromkeys(queued))
        for frame in replay:
            if self.shows(frame):
                self.note(frame)
                self.replay.append(frame.data)
                self.ready.set()
        for frame in held:
            self.offer(frame)

    def shows(self, frame: Frame) -> bool:
        """Whether the frame belongs to this view."""
        return shown_in(frame, self.view, self.primary_thread_id)

    def note(self, frame: Frame) -> None:
        """Remember client input."""
        if frame.type.startswith(("user.", "system.")):
            self.known[frame.id] = None
            if len(self.known) > KNOWN_MAX:
                del self.known[next(iter(self.known))]

    def offer(self, frame: Frame) -> None:
        """Take a published frame."""
        if self.held is not None:
            self.held.append(frame)
            return
        # Of the log only what comes next: the rest it has had, or held beyond a gap (`Hub.begun`).
        skipped = frame.seq != self.after + 1 if frame.seq else frame.id in self.known
        if skipped or self.over:
            return
        if frame.seq:
            self.after = frame.seq
        if self.shows(frame):
            self.note(frame)
            self.started.discard(frame.id)
            self.push(frame.data)
            if self.hub.rest_seconds:
                self.rest(frame)
        if frame.type in LAST_TYPES:
            self.finish()

    def offer_preview(self, thread_id: str, frame: Mapping[str, Any], data: bytes) -> None:
        """Take a preview when it was asked for and began on this stream."""
        wanted = thread_id == (self.view or self.primary_thread_id)
        if self.held is not None or self.over or not self.previews or not wanted:
            return
        event_id = preview_id(frame)
        if frame["type"] == "event_start":
            if frame["event"]["type"] not in self.previews:
                return
            self.started.add(event_id)
        elif event_id not in self.started:
            return
        self.push(data)

    def rest(self, frame: Frame) -> None:
        """Notice that a turn ends or begins."""
        if frame.type.startswith(("user.", "session.status_")):
            self.rested_at = self.hub.clock.now() if ends_turn(frame) else None

    def push(self, data: bytes) -> None:
        """Queue bytes; too many: the stream is over."""
        self.queue.append(data)
        self.queue_bytes += len(data)
        if len(self.queue) > QUEUE_FRAMES_MAX or self.queue_bytes > QUEUE_BYTES_MAX:
            self.queue.clear()
            self.replay.clear()
            self.finish()
        self.ready.set()

    def finish(self) -> None:
        """Nothing comes after what is queued."""
        self.over = True
        self.ready.set()
        self.hub.leave(self)

    async def next(self, timeout_seconds: float) -> bytes | None:
        """The next frame, None on time-out; StopAsyncIteration when the stream is over."""
        while True:
            if self.replay:
                return self.replay.popleft()
            if self.queue:
                data = self.queue.popleft()
                self.queue_bytes -= len(data)
                return data
            if self.over:
                raise StopAsyncIteration
            self.ready.clear()
            if not await waited(self.ready, timeout_seconds):
                if not self.has_rested():
                    return None
                self.finish()

    def has_rested(self) -> bool:
        """Whether the session has had nothing to do for so long that the stream may end."""
        if self.rested_at is None or not self.hub.rest_seconds:
            return False
        return self.hub.clock.now() - self.rested_at >= self.hub.rest_seconds

    async def close(self) -> None:
        """Unsubscribe."""
        self.over = True
        self.hub.leave(self)


def ends_turn(frame: Frame) -> bool:
    """Whether the session is idle from here on and waits for nobody's answer."""
    if frame.type != "session.status_idle":
        return False
    payload = json.loads(frame.data.partition(b"data: ")[2])
    return bool(payload["stop_reason"]["type"] != "requires_action")


@dataclass(slots=True)
class Channel:
    """What the hub knows of a session somebody follows."""

    subscribers: set[Subscriber] = field(default_factory=set)
    watchers: set[asyncio.Event] = field(default_factory=set)
    """Set when the session's state may have changed."""
    cursor: int | None = None
    """The last event published; None until the first subscriber has read."""
    head: int = 0
    """The last event heard of."""
    arrived: int = 0
    """The last queued input read for it; what this process queued itself is published unread."""
    input_heard: int = 0
    """The latest arrival of queued input heard of, whoever queued it."""
    input_wanted: bool = False
    """Others may have queued input that is not read yet, nor marked as seen by the streams here."""
    doubtful: bool = False
    """Notices may have been missed: the session may be gone."""
    finished: deque[str] = field(default_factory=lambda: deque(maxlen=FINISHED_MAX))


class Hub:
    """All subscribers of this process."""

    def __init__(self, clock: Clock | None = None, rest_seconds: float = 0.0) -> None:
        self.clock = clock or SystemClock()
        self.rest_seconds = rest_seconds
        """A stream ends so long after its session's turn has ended; 0: never."""
        self.closed = False
        """Whoever comes now is sent away."""
        self.channels: dict[str, Channel] = {}
        self.behind: set[str] = set()
        """Sessions whose events must be read from the log."""
        self.wanted = asyncio.Event()

    def join(self, session_id: str, view: str | None, previews: frozenset[str]) -> Subscriber:
        """Register; nothing is missed from here on."""
        subscriber = Subscriber(self, session_id, view, previews)
        self.channels.setdefault(session_id, Channel()).subscribers.add(subscriber)
        return subscriber

    def leave(self, subscriber: Subscriber) -> None:
        """Unregister."""
        channel = self.channels.get(subscriber.session_id)
        if channel:
            channel.subscribers.discard(subscriber)
            self.tidy(subscriber.session_id, channel)

    def tidy(self, session_id: str, channel: Channel) -> None:
        """Forget a session that nobody follows any more."""
        if not channel.subscribers and not channel.watchers:
            self.channels.pop(session_id, None)

    @contextmanager
    def watching(self, session_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the session's state may have changed."""
        woken = asyncio.Event()
        channel = self.channels.setdefault(session_id, Channel())
        channel.watchers.add(woken)
        try:
            yield woken
        finally:
            channel.watchers.discard(woken)
            self.tidy(session_id, channel)

    def wake(self, channel: Channel) -> None:
        """The session's state may have changed."""
        for woken in channel.watchers:
            woken.set()

    def finish(self) -> None:
        """Nothing comes after what is queued, for any subscriber; none is taken any more."""
        self.closed = True
        for channel in tuple(self.channels.values()):
            self.wake(channel)
            for subscriber in tuple(channel.subscribers):
                subscriber.finish()

    def begun(self, subscriber: Subscriber, input_known: int = 0) -> None:
        """A subscriber has begun; who read before others and began after them is read for again.

        `input_known`: the arrival of the latest batch it knew of when it read.
        """
        channel = self.channels.get(subscriber.session_id)
        if channel and channel.input_heard > input_known:
            self.want_input(subscriber.session_id, channel)
        if channel and (channel.cursor is None or subscriber.after < channel.cursor):
            channel.head = max(channel.head, channel.cursor or 0)
            channel.cursor = subscriber.after
            self.heard(subscriber.session_id, channel.head)

    def views(self, session_id: str) -> list[str]:
        """Which views of a session are being streamed; the session's own is ''."""
        channel = self.channels.get(session_id)
        if channel is None:
            return []
        return sorted({s.view or "" for s in channel.subscribers if s.held is None})

    def heard(self, session_id: str, head: int) -> None:
        """The log of a session goes up to `head`."""
        channel = self.channels.get(session_id)
        if channel is None:
            return
        self.wake(channel)
        channel.head = max(channel.head, head)
        if channel.cursor is not None and channel.cursor < channel.head:
            self.behind.add(session_id)
            self.wanted.set()

    def heard_input(self, session_id: str, arrived: int) -> None:
        """Another process has queued input."""
        channel = self.channels.get(session_id)
        if channel is not None and arrived > channel.arrived:
            channel.input_heard = max(channel.input_heard, arrived)
            self.want_input(session_id, channel)

    def queued_here(self, session_id: str, arrived: int) -> None:
        """This process has queued input, marked as seen by the views that had begun by then."""
        channel = self.channels.get(session_id)
        if channel is not None:
            channel.input_heard = max(channel.input_heard, arrived)

    def want_input(self, session_id: str, channel: Channel) -> None:
        """Its queued input must be read, and the latest batch be marked as seen."""
        channel.input_wanted = True
        self.behind.add(session_id)
        self.wanted.set()

    def resync(self) -> None:
        """Notices may have been missed: read all again."""
        for channel in self.channels.values():
            channel.input_wanted = channel.doubtful = True
            self.wake(channel)
        self.behind.update(self.channels)
        self.wanted.set()

    def doubted(self, session_id: str) -> None:
        """It may have been deleted: look."""
        if channel := self.channels.get(session_id):
            channel.doubtful = True
            self.wake(channel)
            self.behind.add(session_id)
            self.wanted.set()

    def publish(self, session_id: str, frames: Iterable[Frame]) -> None:
        """Hand out events in order; those before a gap only.

        A turn may not be seen to end before its input is marked as seen (clients rule 1): it waits.
        """
        channel = self.channels.get(session_id)
        if channel is None:
            return
        for frame in frames:
            channel.head = max(channel.head, frame.seq)
            if frame.type.startswith("session.status_"):
                self.wake(channel)
            if channel.cursor is None or frame.seq <= channel.cursor:
                continue
            unmarked = channel.input_wanted and frame.type in TURN_ENDS
            if frame.seq != channel.cursor + 1 or unmarked:
                self.heard(session_id, frame.seq)
                return
            channel.cursor = frame.seq
            channel.finished.append(frame.id)
            for subscriber in tuple(channel.subscribers):
                subscriber.offer(frame)

    def publish_queued(self, session_id: str, frames: Iterable[Frame]) -> None:
        """Hand out input that was queued; subscribers know what they have had."""
        channel = self.channels.get(session_id)
        if channel is None:
            return
        for frame in frames:
            for subscriber in tuple(channel.subscribers):
                subscriber.offer(frame)

    def publish_preview(self, session_id: str, thread_id: str, frame: Mapping[str, Any]) -> None:
        """Hand out a preview, unless its event is out already."""
        channel = self.channels.get(session_id)
        if channel is None or preview_id(frame) in channel.finished:
            return
        if any(subscriber.previews for subscriber in channel.subscribers):
            data = encoded(str(frame["type"]), text_of(frame))
            for subscriber in tuple(channel.subscribers):
                subscriber.offer_preview(thread_id, frame, data)

    def deleted(self, session_id: str, frame: Frame) -> None:
        """Tell everybody that the session is gone, and end all streams."""
        channel = self.channels.get(session_id)
        if channel:
            self.wake(channel)
            for subscriber in tuple(channel.subscribers):
                subscriber.held = None
                if not subscriber.over:
                    subscriber.push(frame.data)
                    subscriber.finish()
