"""`serve`: from the command to ready, at the second and later starts on one data directory."""

import time

from tests.support.processes import Platform, platform

from bench.report import keep, line, milliseconds, percentile, title

STARTS = 8


def main() -> None:
    """Measure and print."""
    title("serve, from the command to ready (bar: 1500 ms at the second start)")
    with platform() as place:
        first, *later = (start(place) for _ in range(STARTS + 1))
    line("first start (makes the database)", milliseconds([first]))
    line("later starts", milliseconds(later))
    keep("serve_ready", first=first, later_p50=percentile(later, 0.5))


def start(place: Platform) -> float:
    """Start it and stop it; the seconds until it was ready."""
    began = time.monotonic()
    server = place.serve()
    spent = time.monotonic() - began
    assert server.stop()[0] == 0, server.said
    return spent


if __name__ == "__main__":
    main()
