"""The contract of a way to a channel."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent."""

    key: str
    """The call's: the same for every attempt."""
    subject: str
    text: str
    session_id: str | None


class Sender(Protocol):
    """A way to a channel."""

    title: str
    has_subject: bool
    keyed: bool
    """The receiver tells a message that is sent again by its key."""

    async def send(self, message: Message) -> str:
        """Send it; what the receiver says. ConnectorFault."""
        ...

    async def check(self) -> None:
        """Ask the receiver, where that can be done without sending. ConnectorFault."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...
