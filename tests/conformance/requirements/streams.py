"""Following events."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "at-once": Requirement(
        "wire §8.2, traps 9, 30, 31",
        "Headers come before any event, with the request's id, unbuffered and uncompressed.",
        SDK,
    ),
    "kept-alive": Requirement(
        "wire §8.2, traps 28, 34", "Silence is filled with comments only.", SDK
    ),
    "same-bytes": Requirement(
        "wire §7.1, §8.2, traps 26, 27",
        "A frame is named after its type and holds the bytes of the list.",
        SDK,
    ),
    "many": Requirement("wire §8.3", "Any number may follow a session."),
    "sdk": Requirement("wire §8.2", "The SDK's own stream reads it.", SDK),
    "deleted": Requirement("wire §8.3", "A deletion ends streams with `session.deleted`."),
    "archived": Requirement(
        "wire §8.3",
        "Archiving ends streams after the terminal events; a stream opened later ends at once.",
        OWN,
    ),
    "event-deltas": Requirement(
        "wire §8.1", "Any other `event_deltas` value, or more than 100, is a 400."
    ),
    "vanished": Requirement("wire §8.3", "A client that vanishes leaves nothing behind.", OWN),
    "late": Requirement(
        "clients rule 1",
        "A stream opened after a batch that nobody followed begins with that batch, even when the turn is over; once seen, it is not sent again.",
        CLIENTS,
    ),
    "late-off": Requirement("clients rule 1", "That can be switched off.", CLIENTS),
}
