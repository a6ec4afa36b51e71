"""Skills and their versions."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "life": Requirement(
        "skills §5.1, §5.2, §11 D22",
        "A skill is created from a folder, read, listed, gets versions, and is deleted with them.",
    ),
    "zip": Requirement(
        "skills §5.3", "One zip is as good as its files; a single folder around them too."
    ),
    "rules": Requirement(
        "skills §5.3",
        "A wrong upload is a 400 that says what is wrong, a too large one a 413, and nothing stays of it.",
    ),
    "download": Requirement(
        "skills §5.4, traps 2, 6",
        "The content is a zip with one folder named after the skill; what can be executed still can.",
        SDK,
    ),
    "latest": Requirement(
        "skills §5.4",
        "`latest` is the newest version there is, and moves back when that is deleted.",
    ),
    "only-version": Requirement("skills §5.4", "The only version cannot be deleted."),
    "same-name": Requirement(
        "skills §5.3", "A version with another name than the skill's is a 400."
    ),
    "legacy": Requirement(
        "skills §5.5, clients rule 44",
        "Older clients get their own form, and may delete the last version first.",
        CLIENTS,
    ),
    "agents": Requirement(
        "wire §2.3, skills §5.4",
        "An agent's skills are resolved to versions that exist; two of one name, unknown ones and the "
        "vendor's own are a 400 naming the entry.",
    ),
    "sessions": Requirement(
        "skills §5.4",
        "A session keeps its skills' files whatever is deleted later; a new one of an agent whose version "
        "was deleted is a 400.",
    ),
    "mounted": Requirement(
        "skills §5.4",
        "The files lie read-only in the sandbox under the skill's name; only name and description are in the "
        "prompt.",
    ),
    "workers": Requirement(
        "work queue §1.2, §11 A9",
        "A worker of a self-hosted environment gets the skills of its sessions only.",
    ),
    "sources": Requirement(
        "skills §5.2", "There are none of the vendor's own: they are not ours to give.", OWN
    ),
}
