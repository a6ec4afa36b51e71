"""From drafts and pending input to events: ids, times and the public payload."""

from collections.abc import Sequence

from agentstead import ids as prefixes
from agentstead.clock import Clock, from_rfc3339, rfc3339
from agentstead.harness import mounts
from agentstead.harness.state import State
from agentstead.ids import Ids
from agentstead.wire.events.stored import Draft, Event, Pending


class Stamp:
    """Gives events their ids and times; times of one session never run backwards."""

    def __init__(self, clock: Clock, ids: Ids) -> None:
        self.clock = clock
        self.ids = ids

    def now(self, state: State) -> float:
        """The time for the next event of this session."""
        return max(self.clock.now(), state.last_at)

    def drafts(self, drafts: Sequence[Draft], state: State) -> list[Event]:
        """Events to be, in order."""
        at = self.now(state)
        shown = rfc3339(at)
        return [self.draft(draft, at, shown) for draft in drafts]

    def draft(self, draft: Draft, at: float, shown: str) -> Event:
        """One event to be; `shown` is its time as on the wire."""
        event_id = draft.id or self.ids.new(prefixes.EVENT)
        payload = {
            "type": draft.type,
            "id": event_id,
            **draft.fields,
            "processed_at": shown,
        }
        return Event(
            id=event_id,
            type=draft.type,
            thread_id=draft.thread_id,
            payload=payload,
            at=at,
            private=draft.private,
            primary=draft.primary,
        )

    def taken(self, pending: Pending, state: State) -> Event:
        """Input that is taken in now; types processed on receipt keep their time."""
        processed_at = pending.payload.get("processed_at")
        at = self.now(state) if processed_at is None else from_rfc3339(processed_at)
        thread_id = pending.thread_id or state.primary_id
        starts_work = pending.type == "user.message"
        return Event(
            id=pending.id,
            type=pending.type,
            thread_id=thread_id,
            payload={**pending.payload, "processed_at": processed_at or rfc3339(at)},
            at=at,
            private=mounts.changes(state.known_files, state.attached) if starts_work else None,
            primary=True,
        )
