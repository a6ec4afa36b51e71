"""The tables of the compatibility page, made from the manifest, the gaps and the SDK itself.

Promises: nothing is in them that the conformance tests do not check.
"""

import re
from collections.abc import Iterable, Iterator

from agentstead.resources import ROUTERS
from tests.conformance import gaps
from tests.conformance.requirements import FAMILIES, REQUIREMENTS
from tests.conformance.requirements.requirement import OWN, Requirement
from tests.conformance.requirements.silent import SILENT
from tests.conformance.sdk_surface import Method, methods
from tests.conformance.sdks import places


def tables() -> str:
    """All of them."""
    return "\n".join((*versions(), *routes(), *missing(), *fields(), *behaviour(), ""))


def versions() -> Iterator[str]:
    """The SDKs that are driven, and what each of them runs."""
    yield from head("Official SDKs that the tests drive", "SDK", "version", "")
    steps = ", ".join(map(str, places.STEPS))
    yield f"| Python | {places.INSTALLED} | every test; the script below |"
    for one in places.PYTHON:
        yield f"| Python | {one} | the script below (steps {steps}); a whole session; its streams drop `session.usage`, which its lists show |"
    yield f"| TypeScript | {places.TYPESCRIPT} | the script below (steps {steps}); a whole session |"
    names = [f"Python {one}" for one in (places.INSTALLED, *places.PYTHON)]
    yield from head("The conformance script", "step", "", *names, f"TypeScript {places.TYPESCRIPT}")
    for number, what in places.STEPS.items():
        last = "not driven" if number == 12 else "passes"
        yield f"| {number} | {what} |{' passes |' * len(names)} {last} |"


def form(verb: str | None, path: str) -> tuple[str | None, str]:
    """A route without the names of its parameters."""
    return verb, re.sub(r"{[^}]*}", "{}", path)


def served() -> list[Method]:
    """The SDK's methods that have a route."""
    there = {form(route.method, route.path) for router in ROUTERS for route in router.routes}
    return [one for one in methods().values() if form(one.verb, one.path) in there]


def routes() -> Iterator[str]:
    """What is served, as the SDK calls it."""
    yield from head("Methods that are served", "`client.beta.`", "route")
    for one in served():
        yield f"| `{one.id}` | `{one.verb} {one.path}` |"


def missing() -> Iterator[str]:
    """What is not served, and behaviour that is not there."""
    yield from head("Methods that are not", "`client.beta.`", "why")
    for name, why in gaps.FAMILIES.items():
        yield f"| `{name}` | {why} |"
    yield from head("Behaviour that is not there", "", "now", "source")
    for name, one in requirements():
        if one.gap:
            yield f"| `{name}`: {one.behaviour} | {one.gap} | {one.source} |"


def fields() -> Iterator[str]:
    """Differences of single fields and events."""
    yield from head("Fields and events that can be missing", "", "why")
    for name, why in (*gaps.REQUESTS.items(), *gaps.ANSWERS.items(), *gaps.EVENTS.items()):
        yield f"| `{name}` | {why} |"


def behaviour() -> Iterator[str]:
    """What the tests prove, and what of it is our own choice."""
    yield from head("Own choices", "", "source")
    yield from rows(one for one in requirements() if one[1].evidence == OWN)
    yield from head("Where the sources are silent", "", "here", "rests on", "proved by", "source")
    for open_ in SILENT:
        gap = " (not there yet)" if REQUIREMENTS[open_.proof].gap else ""
        yield f"| {open_.question} | {open_.answer} | {open_.evidence} | `{open_.proof}`{gap} | {open_.source} |"
    yield from head("What the tests prove", "", "source", "evidence")
    for name, one in requirements():
        if not one.gap and one.evidence != OWN:
            yield f"| `{name}`: {one.behaviour} | {one.source} | {one.evidence} |"


def requirements() -> Iterator[tuple[str, Requirement]]:
    """Every requirement by its id."""
    for family, found in FAMILIES.items():
        for name, one in found.items():
            yield f"{family}:{name}", one


def rows(found: Iterable[tuple[str, Requirement]]) -> Iterator[str]:
    """A row for each."""
    for name, one in found:
        yield f"| `{name}`: {one.behaviour} | {one.source} |"


def head(title: str, *columns: str) -> Iterator[str]:
    """A section with the head of its table."""
    yield f"\n## {title}\n"
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
