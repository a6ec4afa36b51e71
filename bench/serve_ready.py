"""`serve`: from the command to ready, at the second and later starts on one data directory."""

from tests.support.processes import platform

from bench.report import keep, line, milliseconds, percentile, title

STARTS = 8


def main() -> None:
    """Measure and print."""
    title("serve, from the command to ready (bar: 1500 ms at the second start)")
    with platform() as place:
        first = place.serve(name="serve-0")
        place.stop("serve-0")
        later = []
        for number in range(1, STARTS + 1):
            later.append(place.serve(name=f"serve-{number}"))
            if number < STARTS:
                place.stop(f"serve-{number}")
    line("first start (makes the database)", milliseconds([first]))
    line("later starts", milliseconds(later))
    keep("serve_ready", first=first, later_p50=percentile(later, 0.5))


if __name__ == "__main__":
    main()
