"""Log lines: JSON by default, readable ones on a terminal, always on standard error.

Keys that name a secret are blanked whatever their value; session ids are bound by whoever works
on a session, so that every line of it can be found. A crash shows where it happened, never the
values of variables: among them are keys and what users wrote.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def absent(package: str) -> Iterator[None]:
    """Let imports inside of the block find no such package."""
    loaded = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
        if loaded is not None:
            sys.modules[package] = loaded


# structlog would import rich, a tenth of a second of every start, for tracebacks that show the
# values of local variables: something that must never be written.
with absent("rich"):
    import structlog
    from structlog.typing import EventDict, WrappedLogger

SECRET = re.compile(r"(?i)(authorization|api_?key|password|secret|token|cookie|database_url|dsn)$")
BLANK = "[hidden]"


def without_secrets(_logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
    """Blank the values of keys that name a secret."""
    for key in line:
        if SECRET.search(key):
            line[key] = BLANK
    return line


def configure(*, level: str = "info", as_json: bool | None = None) -> None:
    """Set up log lines for this process. `as_json` None: JSON unless a person reads along."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        without_secrets,
    ]
    if as_json:
        frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        shared += [
            structlog.processors.ExceptionRenderer(frames),
            structlog.processors.JSONRenderer(),
        ]
    else:
        shared.append(
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        )
    structlog.configure(
        processors=shared,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Libraries write through the standard library: only what needs a person's eye.
    logging.basicConfig(level=logging.WARNING, handlers=[Relay()], force=True)


class Relay(logging.Handler):
    """Hands lines of the standard library's loggers to ours."""

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]
        """Write one line."""
        extra = {"exc_info": record.exc_info} if record.exc_info else {}
        get(record.name).log(record.levelno, record.getMessage(), **extra)


def get(name: str) -> Any:
    """A logger; `name` is the room or file that speaks. Set up when it first speaks."""
    return structlog.get_logger(room=name)
