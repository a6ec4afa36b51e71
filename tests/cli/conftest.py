"""A platform's data directory for a test, and nothing of it left behind."""

from collections.abc import Iterator

import pytest

from tests.support.places import memory_dir
from tests.support.processes import Platform, platform_in, quick_platform


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A place for a platform whose database is set up already."""
    with quick_platform() as platform:
        yield platform


@pytest.fixture
def nowhere() -> Iterator[Platform]:
    """A place for a platform that does not exist yet, not even its folder."""
    with memory_dir() as folder, platform_in(folder / "data" / "new") as platform:
        yield platform
