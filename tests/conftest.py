"""What every test shares: the meaning of a skip. Fixtures live in tests/support."""

pytest_plugins = [
    "tests.support.strict",
    "tests.support.collection",
    "tests.support.prepared",
    "tests.support.postgres",
    "tests.support.nats",
]
