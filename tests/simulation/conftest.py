"""Much work in one test, on a machine that may be busy: a longer limit than elsewhere."""

from pathlib import Path

import pytest

SECONDS = 120


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(SECONDS))
