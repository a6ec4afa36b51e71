"""Events of a session: send, list, stream.

Promises: what `send` answers is in the list when it answers, and the session is `running` if it
starts work; stored bytes are passed on as they are; a stream is subscribed before its headers go
out.
"""

from collections.abc import Sequence
from functools import partial

from agentstead.api.paging import Cursor, cursor, limit
from agentstead.api.router import ID, Call, Raw, Router
from agentstead.api.sse import Stream
from agentstead.errors import Invalid
from agentstead.ids import EVENT
from agentstead.log.log import Decide, Decision, Desk, EventPage
from agentstead.log.pressure import Entry, Pressure
from agentstead.resources.admission import Sent, admit, call_ids
from agentstead.resources.content_files import check_files
from agentstead.wire.answers.events import EventPage as Events
from agentstead.wire.answers.events import SentEvents
from agentstead.wire.events.names import PERSISTED, PREVIEWED
from agentstead.wire.events.params import Send, SystemMessage, UserDefineOutcome, UserMessage
from agentstead.wire.shape import canonical

router = Router("Events")
LIMIT_MAX = 1000
"""Also the default: clients read only the first page and expect a whole run in it."""
BEGINNINGS = (UserMessage, UserDefineOutcome, SystemMessage)
"""What can be refused because too much waits; answers and interrupts never are."""
STREAM_QUERY = ("event_deltas[]", "after")
"""What both streams take, beside the header `Last-Event-ID`."""


@router.post("/v1/sessions/{session_id}/events", Send, answer=SentEvents)
async def send(call: Call, session_id: str, body: Send) -> Raw:
    """Send events to a session: all are taken, or none."""
    events = [
        Sent(param, call.services.ids.new(EVENT), f"events.{place}")
        for place, param in enumerate(body.events)
    ]
    await check_files(call, events)
    allowed = not any(isinstance(one.param, SystemMessage) for one in events) or (
        await takes_system_turns(call, session_id)
    )
    decide = admit(events, call.now, system_allowed=allowed)
    accept = partial(call.services.log.accept, call.workspace_id, session_id, call_ids(events))
    if any(isinstance(one.param, BEGINNINGS) for one in events):
        async with call.services.pressure.entry(call.workspace_id) as entry:
            decision = await accept(within(call.services.pressure, entry, decide))
    else:
        decision = await accept(decide)
    return Raw(canonical({"data": decision.echoes}).encode())


@router.get(
    "/v1/sessions/{session_id}/events",
    query=(
        "types[]", "created_at[gt]", "created_at[gte]", "created_at[lt]", "created_at[lte]",
        "order", "limit", "page",
    ),
    answer=Events,
)  # fmt: skip
async def list_events(call: Call, session_id: str) -> Raw:
    """List the events of a session, oldest first; queued ones last."""
    return await listed(call, session_id, None)


@router.get("/v1/sessions/{session_id}/events/stream", query=STREAM_QUERY, answer=Stream)
async def stream(call: Call, session_id: str) -> Stream:
    """Follow the events of a session as they come."""
    return await followed(call, session_id, None)


def within(pressure: Pressure, entry: Entry, decide: Decide) -> Decide:
    """The same decision, unless too much waits already."""

    def bounded(desk: Desk) -> Decision:
        decision = decide(desk)
        pressure.queue(desk.queued)
        if decision.starts_work:
            entry.begin()
        return decision

    return bounded


async def takes_system_turns(call: Call, session_id: str) -> bool:
    """Whether the session's model takes system messages within a conversation."""
    row = await call.services.log.retrieve(call.workspace_id, session_id)
    try:
        capabilities = call.services.catalogue.resolve(row.agent["model"]["id"]).capabilities
    except Invalid:
        return False
    return bool(capabilities.mid_conversation_system)


async def listed(call: Call, session_id: str, thread_id: str | None) -> Raw:
    """A page of a session's events, or of one thread's."""
    query = call.query
    order = query.choice("order", ("asc", "desc"), "asc")
    kind = f"events:{thread_id or session_id}"
    at = cursor(query, kind, order, (int, int, int))
    page: EventPage = await call.services.log.page(
        call.workspace_id,
        session_id,
        thread_id=thread_id,
        types=query.words("types", PERSISTED),
        created=query.times("created_at") or None,
        descending=order == "desc",
        limit=limit(query, LIMIT_MAX, LIMIT_MAX),
        after=(at.key[0], at.key[1], at.key[2]) if at else None,
    )
    last = Cursor(kind, order, page.last) if page.more and page.last else None
    return spliced(page.rows, last)


async def followed(call: Call, session_id: str, thread_id: str | None) -> Stream:
    """A stream of a session's events, or of one thread's; after an event on when one is named."""
    previews = frozenset(call.query.words("event_deltas", PREVIEWED))
    name, after = resume_after(call)
    try:
        follower = await call.services.log.follow(
            call.workspace_id, session_id, thread_id=thread_id, previews=previews, after=after
        )
    except Invalid as error:
        raise Invalid(f"{name}: {error.message}") from None
    return call.stream(follower)


def resume_after(call: Call) -> tuple[str, str | None]:
    """Where a stream goes on: the parameter's name, and the event's id.

    A client that reconnects by itself repeats its address and adds the header, so the header is
    the newer of the two.
    """
    for name, text in (
        ("Last-Event-ID", call.headers.get("last-event-id")),
        ("after", call.query.text("after")),
    ):
        if text:
            if not ID.fullmatch(text):
                raise Invalid(f"{name}: Expected the id of an event of this session.")
            return name, text
    return "after", None


def spliced(rows: Sequence[bytes], last: Cursor | None) -> Raw:
    """A page from JSON texts, without parsing them, and copied only once."""
    next_page = canonical(last.text()).encode() if last else b"null"
    end = b'],"next_page":' + next_page + b"}"
    if not rows:
        return Raw(b'{"data":[' + end)
    parts = list(rows)
    parts[0] = b'{"data":[' + parts[0]
    parts[-1] += end
    return Raw(b",".join(parts))
