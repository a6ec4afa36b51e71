"""A page of 1,000 events over HTTP, against reading the same rows with plain SQL."""

import time
from collections.abc import Callable

import psycopg

from bench.report import keep, line, milliseconds, percentile, title
from bench.served import Wire, ready_to_create, served

EVENTS = 1000
SAMPLES = 60
FILL = b"""
    insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence,
                        payload)
    select s.id, n, 'sevt_bench' || n, s.workspace_id, s.primary_thread_id, kind, true, now(), 1,
           json_build_object('id', 'sevt_bench' || n, 'type', kind, 'processed_at', now(),
                             'content', json_build_array(json_build_object(
                                 'type', 'text', 'text', repeat('word ', 10 + (n * 37) %% 150))))
    from sessions s, generate_series(1, %s) n,
         lateral (select (array['agent.message', 'agent.tool_use', 'agent.tool_result',
                                'span.model_request_end'])[1 + n %% 4] as kind) k
    where s.id = %s
"""
HEAD = b"update sessions set head_seq = %s where id = %s"
PLAIN = b"select payload::text from events where session_id = %s order by seq limit 1000"


def timed(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    title("list 1,000 events, against plain SQL for the same rows (bar: ratio 2)")
    with served("--workers", "0") as (place, url), psycopg.connect(url, autocommit=True) as db:
        wire = Wire(place)
        session = wire.make("/v1/sessions", **ready_to_create(wire))
        db.execute(FILL, (EVENTS, session))
        db.execute(HEAD, (EVENTS, session))
        db.execute(b"vacuum analyze events")
        path = f"/v1/sessions/{session}/events"

        def plain() -> list[tuple[str]]:
            return db.execute(PLAIN, (session,)).fetchall()

        def listed() -> bytes:
            return wire.call("GET", path)

        rows = [row[0] for row in plain()]
        assert len(rows) == EVENTS
        assert listed().startswith(b'{"data":[' + rows[0].encode())
        for _ in range(5):
            plain(), listed()
        pairs = [(timed(plain), timed(listed)) for _ in range(SAMPLES)]
        size = len(listed())
    direct, platform_ = ([pair[side] for pair in pairs] for side in (0, 1))
    ratios = [percentile(platform_, share) / percentile(direct, share) for share in (0.5, 0.95)]
    line("plain SQL", milliseconds(direct))
    line(f"GET …/events, {size / 1000:.0f} kB", milliseconds(platform_))
    line("ratio", f"p50 {ratios[0]:.2f}   p95 {ratios[1]:.2f}")
    keep("list_events", ratio_p50=ratios[0], ratio_p95=ratios[1])


if __name__ == "__main__":
    main()
