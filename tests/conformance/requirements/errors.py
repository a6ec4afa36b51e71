"""Keys, errors, headers."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "key": Requirement(
        "wire §1.2, traps 1 to 4, clients rule 30",
        "A key is taken from either header; versions and betas are not insisted on.",
        CLIENTS,
    ),
    "no-key": Requirement(
        "wire §1.5", "Without a live key every route is a 401, before anything else is looked at."
    ),
    "open-routes": Requirement("wire §1.2", "Only health and readiness answer without a key.", OWN),
    "revoked": Requirement("wire §1.5", "A revoked key ends."),
    "other-workspace": Requirement("wire §1.2", "A workspace that is not the key's is a 403.", OWN),
    "own-workspace": Requirement(
        "wire §1.2", "A key sees and changes only what is in its workspace; the rest is a 404."
    ),
    "shape": Requirement(
        "wire §1.5, trap 10, clients rule 49",
        "Unknown routes and methods answer in the API's shape.",
        SDK,
    ),
    "methods": Requirement(
        "wire §1.1, §1.5",
        "HEAD is GET without a body; any other method is a 405 in the API's shape that lists what there is.",
        OWN,
    ),
    "betas": Requirement(
        "wire §1.2, traps 3, 4, clients rule 30",
        "Names of betas may be missing, doubled or unknown.",
        CLIENTS,
    ),
    "broken-bodies": Requirement("wire §1.5", "What is not JSON, or not an object, is a 400."),
    "too-large": Requirement("wire §1.1", "A body beyond the limit is a 413, however it is sent."),
    "empty-body": Requirement(
        "wire §1.1, traps 6, 7",
        "An empty body with a JSON content type is fine; every answer has a body.",
        SDK,
    ),
    "database-lost": Requirement(
        "wire §1.5, trap 8", "A lost database is a 503 that is worth a retry.", OWN
    ),
    "described": Requirement(
        "wire §15",
        "The API describes itself, with the schemas of what it takes and what it answers.",
        OWN,
    ),
    "backlog": Requirement(
        "wire §1.7",
        "Work beyond the backlog is a 429 that did nothing and says when to come again.",
        SDK,
    ),
    "rate-limits": Requirement(
        "wire §1.7", "Too many requests are a 429.", gap="Nothing limits a key yet."
    ),
    "request-ids": Requirement(
        "wire §1.3, trap 9",
        "Every answer has a request id of its own, errors and unknown routes too.",
        SDK,
    ),
}
