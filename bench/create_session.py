"""Creating a session over HTTP, against one durable insert of a row of the same size."""

import json
import time

import psycopg

from bench.report import keep, line, milliseconds, percentile, title
from bench.served import Wire, ready_to_create, served

SAMPLES = 150
INSERT = b"insert into bench (id, body) values (%s, %s)"


def main() -> None:
    """Measure and print."""
    title("create a session (bar: p50 within 5 ms of one durable insert)")
    inserts, creations = [], []
    with served("--workers", "0") as (place, url), psycopg.connect(url, autocommit=True) as db:
        wire = Wire(place)
        body = ready_to_create(wire)
        db.execute(b"create table bench (id integer primary key, body json)")
        text = json.dumps(json.loads(wire.call("POST", "/v1/sessions", body)))
        for number in range(SAMPLES + 10):
            began = time.perf_counter()
            db.execute(INSERT, (number, text))
            inserted = time.perf_counter()
            wire.call("POST", "/v1/sessions", body)
            creations.append(time.perf_counter() - inserted)
            inserts.append(inserted - began)
    inserts, creations = inserts[10:], creations[10:]
    over = percentile(creations, 0.5) - percentile(inserts, 0.5)
    line("one durable insert", milliseconds(inserts))
    line("POST /v1/sessions", milliseconds(creations))
    line("p50 over the insert", f"{over * 1000:.2f} ms")
    keep("create_session", over_p50=over, create_p95=percentile(creations, 0.95))


if __name__ == "__main__":
    main()
