"""A place for a real server, and what another user of the machine may do there."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.support.places import memory_dir

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose `data` can hold a server."""
    with memory_dir() as folder:
        yield folder


@contextmanager
def as_user(uid: int, gid: int) -> Iterator[None]:
    """Be somebody else to the kernel's checks of files and sockets; only root can."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def somebody() -> Callable[[int, int], AbstractContextManager[None]]:
    """Become another user for a while."""
    if os.geteuid() != 0:
        pytest.skip("needs root: becomes another user")
    return as_user
