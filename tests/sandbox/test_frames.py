"""Messages on a stream, however the stream cuts them."""

import pytest

from agentstead.sandbox.supervisor.frames import (
    FRAME_BYTES_MAX,
    LENGTH,
    Frames,
    FrameTooLarge,
    pack,
)

MESSAGES = [{"a": "ü"}, [], {"long": "x" * 1000}, 1]


@pytest.mark.parametrize("size", [1, 3, 7, 10_000])
def test_messages_arrive_whole_and_in_order(size: int) -> None:
    stream, frames, arrived = b"".join(map(pack, MESSAGES)), Frames(), []
    for start in range(0, len(stream), size):
        arrived += list(frames.feed(stream[start : start + size]))
    assert arrived == MESSAGES


def test_a_message_may_not_be_endless() -> None:
    with pytest.raises(FrameTooLarge):
        list(Frames().feed(LENGTH.pack(FRAME_BYTES_MAX + 1)))
