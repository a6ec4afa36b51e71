"""Extensions for those who run it."""

from tests.conformance.requirements.requirement import OWN, Requirement

REQUIREMENTS = {
    "why": Requirement(
        "extension", "`/why` says why a session is in its state, since when, waiting for whom.", OWN
    ),
    "why-waiting": Requirement(
        "extension", "It names the calls that wait for a client, and the call that runs.", OWN
    ),
    "place": Requirement(
        "extension", "It says the place of a session that waits for a worker, and what for.", OWN
    ),
    "priority": Requirement(
        "extension", "A priority puts a session before others of its workspace.", OWN
    ),
    "not-offered": Requirement(
        "extension", "It names tools that an agent has and its model is not offered.", OWN
    ),
    "ready": Requirement(
        "extension", "Ready means: the database answers, workers live, nobody waits too long.", OWN
    ),
    "stop": Requirement(
        "extension",
        "A stop interrupts what works and lets nothing begin until it is lifted; input waits.",
        OWN,
    ),
    "audit": Requirement(
        "extension", "Every write leaves a row with its key, its address and its time.", OWN
    ),
}
