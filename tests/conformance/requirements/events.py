"""Sending and listing events."""

from tests.conformance.requirements.requirement import CLIENTS, Requirement

REQUIREMENTS = {
    "visible-at-once": Requirement(
        "clients rule 2",
        "When a send returns, its events end the list and the status is `running`.",
        CLIENTS,
    ),
    "all-or-nothing": Requirement(
        "wire §7.2", "One bad event refuses the whole batch, and names its place."
    ),
    "refused-by-path": Requirement(
        "wire §7.2, §7.3, §10", "A wrong event is a 400 that names its field, and nothing is kept."
    ),
    "idle-interrupt": Requirement(
        "clients rule 5",
        "An interrupt with nothing to interrupt is echoed and adds nothing; one of an unknown thread is a 400.",
        CLIENTS,
    ),
    "system-message": Requirement(
        "wire §7.2",
        "A `system.message` is the last of its batch, after something that starts work.",
    ),
    "system-message-models": Requirement(
        "wire §7.2",
        "It needs a model that takes it: 400, `model_does_not_support_mid_conversation_system`.",
    ),
    "filters": Requirement(
        "wire §7.11", "Lists filter by type and time; what is still queued has no time."
    ),
    "largest-page": Requirement(
        "wire §1.8, trap 25, clients rule 6",
        "A page may have 1,000 events; more is a 400.",
        CLIENTS,
    ),
    "outcomes": Requirement(
        "wire §10",
        "A `user.define_outcome` starts graded work.",
        gap="Validated, then refused with a 400 that names it.",
    ),
    "echoes": Requirement(
        "wire §7.3, §7.4",
        "Client events are answered and listed with the fields that were sent, an id and a time.",
    ),
}
