"""Which part of a body is wanted."""

import pytest
from starlette.exceptions import HTTPException

from agentstead.api.downloads import wanted

SIZE = 10


@pytest.mark.parametrize(
    ("header", "part"),
    [
        (None, (0, 10, False)),
        ("", (0, 10, False)),
        ("bytes=0-", (0, 10, True)),
        ("bytes=3-5", (3, 6, True)),
        ("bytes=3-100", (3, 10, True)),
        ("bytes=-3", (7, 10, True)),
        ("bytes=-100", (0, 10, True)),
        ("bytes=5-3", (0, 10, False)),
        ("bytes=-", (0, 10, False)),
        ("bytes=0-1,3-4", (0, 10, False)),
        ("bytes=a-b", (0, 10, False)),
        ("bytes=" + "9" * 20 + "-", (0, 10, False)),
    ],
)
def test_one_range_is_understood(header: str | None, part: tuple[int, int, bool]) -> None:
    assert wanted(header, SIZE) == part


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=99-100", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused(header: str) -> None:
    with pytest.raises(HTTPException) as refused:
        wanted(header, SIZE)
    assert refused.value.status_code == 416
