"""Frames of a stream: opened at once, kept alive, ended by the follower."""

from agentstead.api.sse import KEEP_ALIVE, OPENED, frames


class Scripted:
    """A follower that says what it is told to; None is a time-out."""

    def __init__(self, *said: bytes | None) -> None:
        self.said = list(said)
        self.asked: list[float] = []

    async def next(self, timeout_seconds: float) -> bytes | None:
        self.asked.append(timeout_seconds)
        if not self.said:
            raise StopAsyncIteration
        return self.said.pop(0)

    async def close(self) -> None:
        self.said = []


# wire §17 traps 26 to 30
async def test_frames_pass_as_they_are_and_silence_is_commented() -> None:
    follower = Scripted(b"event: a\ndata: {}\n\n", None, b"event: b\ndata: {}\n\n")
    found = [frame async for frame in frames(follower, 7.5)]
    assert found == [OPENED, b"event: a\ndata: {}\n\n", KEEP_ALIVE, b"event: b\ndata: {}\n\n"]
    assert follower.asked == [7.5] * 4
    assert all(frame.startswith(b":") and frame.endswith(b"\n\n") for frame in (OPENED, KEEP_ALIVE))
