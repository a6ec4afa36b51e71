"""How long the fuzz goes on: the same short run with every `make test`, another long one with `make fuzz`.

`AGENTSTEAD_TEST_FUZZ=20` makes twenty times as many examples, from another seed each time; hypothesis
prints what reproduces a failure.
"""

import os

from hypothesis import HealthCheck, Phase, settings

FACTOR = int(os.environ.get("AGENTSTEAD_TEST_FUZZ", "0") or "0")
LONG = FACTOR > 0
SHORT_SECONDS, LONG_SECONDS = 60, 3600
"""Time limits of one test."""
SECONDS = LONG_SECONDS if LONG else SHORT_SECONDS


def examples(short: int, **more: int) -> settings:
    """Settings for this many examples in the short run."""
    return settings(
        max_examples=short * max(FACTOR, 1),
        derandomize=not LONG,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
        print_blob=LONG,
        **more,
    )
