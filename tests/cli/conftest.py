"""A platform's data directory for a test, and nothing of it left behind."""

import shutil
from collections.abc import Iterator

import pytest

from tests.cli.processes import Platform, platform_in
from tests.support.postgres import temporary_dir


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A place for a platform; whatever a test starts on it is ended."""
    folder = temporary_dir()
    try:
        with platform_in(folder) as platform:
            yield platform
    finally:
        shutil.rmtree(folder)
