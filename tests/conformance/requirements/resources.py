"""Resources of a session."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "shapes": Requirement(
        "wire §6.1, §6.2, clients rule 53",
        "A file is answered with every field, its path as it was asked for.",
        SDK,
    ),
    "order": Requirement(
        "wire §1.8, §6.2",
        "Resources are listed as they were attached, all at once unless a limit is given.",
        OWN,
    ),
    "paths": Requirement(
        "wire §6.1, clients rules 13, 21",
        "Paths may be relative, below the root, or elsewhere (then below the root as a whole); one that leads out, or to where another resource is, is a 400.",
        CLIENTS,
    ),
    "repository-url": Requirement(
        "wire §6.1", "A repository is named by its plain https address, else 400."
    ),
    "limits": Requirement("wire §6.1", "A session has at most 500 files and 8 memory stores."),
    "only-files-are-added": Requirement(
        "wire §6.2", "Only files are attached to and detached from a session that exists."
    ),
    "fixed": Requirement(
        "wire §6.2", "Repositories and memory stores stay for the session's life: 400.", OWN
    ),
    "token": Requirement(
        "wire §6.1, §6.2",
        "Only a repository has a token, optional and replaceable; it is kept sealed and shown nowhere: not to the agent, nor in events, logs or the checkout.",
        OWN,
    ),
    "unknown": Requirement("wire §6.2", "An unknown resource is a 404."),
    "refused-by-path": Requirement(
        "wire §1.5", "A wrong resource is a 400 that names it; the session is not made."
    ),
    "read-only-after-the-end": Requirement(
        "wire §13", "The resources of an archived session can be read and not changed."
    ),
    "repositories": Requirement(
        "wire §6.1, §7.8",
        "Repositories are checked out into the workspace before the agent's first call, at a branch, a commit or the default branch, and are the agent's own from then on.",
    ),
    "repository-errors": Requirement(
        "wire §6.1, §7.8",
        "A checkout that fails is a `session.error` that is always `retrying`; the session goes on without it, and tells the agent.",
    ),
    "repository-skills": Requirement(
        "wire §6.1",
        "Skills in `.claude/skills` of a repository are found once, for agents with the tool `read`.",
    ),
    "memory-stores": Requirement(
        "wire §6.1, clients rule 47",
        "Memory stores are mounted and described to the model.",
        gap="Refused with a 400 that names them.",
    ),
}
