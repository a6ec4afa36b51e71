"""Agents and their versions."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "life": Requirement(
        "wire §2.4, §2.6",
        "Created, read, updated, archived; archiving twice is the same; an archived agent takes no update and no session.",
    ),
    "every-field": Requirement(
        "wire §2.1, §19",
        "A response has every field, defaults filled in, whatever the request left out.",
    ),
    "no-change": Requirement("wire §2.5", "An update that changes nothing makes no version."),
    "stale-version": Requirement(
        "wire §2.5, trap 8",
        "An update with a version that is not the latest is a 409 that is not worth a retry.",
    ),
    "versions": Requirement("wire §2.4", "Every version stays readable, newest first."),
    "omit-and-null": Requirement(
        "wire §2.5", "Omitted keeps, null clears; name and model cannot be cleared."
    ),
    "refused-by-path": Requirement(
        "wire §1.5",
        "A wrong field is a 400 whose message begins with its path, and nothing is stored.",
    ),
    "unknown": Requirement("wire §1.5", "An unknown agent or version is a 404."),
    "unknown-model": Requirement(
        "clients rule 26", "A model that nothing serves is a 400 that lists what there is.", CLIENTS
    ),
    "model-settings": Requirement(
        "wire §2.2",
        "A speed, a region or an effort that the model does not have is a 400.",
        OWN,
    ),
    "models": Requirement(
        "wire §2.2",
        "The Models API lists what the server resolves, and finds one by its name.",
        SDK,
    ),
    "custom-tools": Requirement(
        "wire §3.5",
        "A custom tool is echoed unchanged; a name, description or schema against the rules is a 400.",
    ),
}
