"""Every number of the settings reaches the worker that goes by it."""

import dataclasses

from agentstead.app.rooms import limits_of, pace_of
from agentstead.sandbox.sandbox import Limits
from agentstead.settings import Settings
from agentstead.worker.world import Pace

ELSEWHERE_NAMED = {"sessions_max": "worker_sessions_max"}


def test_every_number_of_the_pace_is_a_setting() -> None:
    names = [field.name for field in dataclasses.fields(Pace)]
    given = {ELSEWHERE_NAMED.get(name, name): 1000 + n for n, name in enumerate(names)}
    pace = pace_of(Settings.model_validate(given))
    assert dataclasses.asdict(pace) == {name: 1000 + n for n, name in enumerate(names)}


def test_the_defaults_agree() -> None:
    assert pace_of(Settings()) == Pace()


def test_every_limit_of_a_sandbox_that_is_a_setting_is_passed_on() -> None:
    names = [
        field.name
        for field in dataclasses.fields(Limits)
        if f"sandbox_{field.name}" in Settings.model_fields
    ]
    settings = Settings.model_validate({f"sandbox_{name}": 7 for name in names})
    passed = dataclasses.asdict(limits_of(settings))
    assert "memory_bytes" in names
    assert [passed[name] for name in names] == [7] * len(names)
