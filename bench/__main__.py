"""Run every measurement."""

from bench import (
    bombs,
    checkpoint,
    create_session,
    failover,
    first_call,
    first_token,
    idle_sessions,
    list_events,
    long_session,
    many_sandboxes,
    sandbox_start,
    serve_ready,
    steps,
    streams,
    thousand,
    uploads,
)

BENCHES = (
    serve_ready, first_token, first_call, sandbox_start, steps, uploads, list_events, create_session, streams,
    bombs, many_sandboxes, checkpoint, failover, long_session, thousand, idle_sessions,
)  # fmt: skip
for bench in BENCHES:
    bench.main()
