"""Run every measurement."""

from bench import (
    create_session,
    first_call,
    first_token,
    list_events,
    serve_ready,
    steps,
    streams,
    uploads,
)

BENCHES = (
    serve_ready, first_token, first_call, steps, uploads, list_events, create_session, streams,
)  # fmt: skip
for bench in BENCHES:
    bench.main()
