"""What every test shares: the meaning of a skip. Fixtures live in tests/support, imported where used."""

pytest_plugins = ["tests.support.strict"]
