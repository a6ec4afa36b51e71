"""Which hosts of a credential an environment's list lets through."""

import pytest

from agentstead.worker.variables import permitted


@pytest.mark.parametrize(
    ("allowed", "host", "through"),
    [
        (("api.test",), "api.test", True),
        (("api.test",), "API.test", True),
        (("api.test",), "www.api.test", False),
        (("*.api.test",), "www.api.test", True),
        (("*.api.test",), "api.test", False),
        (("*.test",), "*.api.test", True),
        (("*.api.test",), "*.api.test", True),
        (("one.api.test",), "*.api.test", True),
        (("*.one.api.test",), "*.api.test", True),
        (("api.test",), "*.api.test", False),
        (("other.test",), "*.api.test", False),
        ((), "api.test", False),
    ],
)
def test_permitted(allowed: tuple[str, ...], host: str, through: bool) -> None:
    assert permitted(allowed, host) == through
