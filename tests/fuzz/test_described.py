"""Requests that chance makes from the description of the API, good ones and bad ones, on every route.

Promises: no 5xx, no hang, every answer as `answers.judge` and the description want it, and what the
description forbids is refused.
"""

from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi import checks

from agentstead.resources import ROUTERS
from tests.fuzz.answers import STREAM, judge
from tests.fuzz.budget import SECONDS, examples
from tests.fuzz.garden import Garden, season, season_body, season_query
from tests.support.server import Running

load_all_checks()
TAGS = sorted({router.tag for router in ROUTERS if any(one.needs_key for one in router.routes)})
EXAMPLES = 6
"""Of each kind, for each method on each path."""
ANSWER_SECONDS = 10.0
"""No answer takes so long, a stream's headers neither."""
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]


def described(running: Running, garden: Garden) -> Any:
    """The served description, without keys: every request has one."""
    whole = garden.http.get("/openapi.json").json()
    whole.pop("security", None)
    for methods in whole["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(whole)
    schema.config.update(base_url=running.url)
    return schema


class Caller:
    """Sends what was generated, and judges what comes back."""

    def __init__(self, running: Running, garden: Garden) -> None:
        self.running = running
        self.garden = garden
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["x-api-key"] = running.key
        self.seen: Counter[int] = Counter()

    def call(self, case: Any, chance: Any) -> None:
        """One request."""
        ends = case.method == "DELETE" or case.path.endswith("/archive")
        if ends and chance.random() < 0.5:
            self.garden.replant()
        case.path_parameters = season(self.garden, chance, case.path_parameters or {})
        case.query = season_query(self.garden, chance, case.query or {})
        forbidden = spoilt_body(case)
        if not forbidden:  # else a real id might make it right
            case.body = season_body(self.garden, chance, case.body)
        request = case.as_transport_kwargs(base_url=self.running.url)
        with self.session.request(**request, stream=True, timeout=ANSWER_SECONDS) as response:
            streams = response.headers.get("content-type", "").startswith(STREAM)
            body = None if streams else response.content
            judge(case.method, response.status_code, response.headers, body)
            self.seen[response.status_code] += 1
            if not streams:
                case.validate_response(response, checks=CHECKS)
            if forbidden:
                assert response.status_code >= 400, f"{case.method} {case.path} took {case.body!r}"


def spoilt_body(case: Any) -> bool:
    """Whether the description forbids the body. Unknown query parameters are ignored on purpose."""
    part = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return part is not None and part.mode is GenerationMode.NEGATIVE


# the server's threads share the module `random` with what draws: its pool of connections uses it
@pytest.mark.filterwarnings("ignore:Do not use the .random. module")
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_route_answers(
    running: Running, garden: Garden, tag: str, mode: GenerationMode
) -> None:
    garden.replant()
    if tag == "Work":
        garden.queue()
    caller = Caller(running, garden)
    operations = [one.ok() for one in described(running, garden).include(tag=tag).get_all_operations()]  # fmt: skip
    assert operations
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
            continue  # nothing that could be wrong but its id

        @examples(EXAMPLES)
        @given(
            case=operation.as_strategy(generation_mode=mode),
            chance=st.randoms(use_true_random=False),
        )
        def attempt(case: Any, chance: Any) -> None:
            caller.call(case, chance)

        attempt()
    # It meant something: requests got through, or were refused for what is wrong with them.
    assert caller.seen[200 if mode is GenerationMode.POSITIVE else 400], caller.seen
