"""Sessions."""

from tests.conformance.requirements.requirement import CLIENTS, Requirement

REQUIREMENTS = {
    "every-field": Requirement("wire §5.1, §12", "A response has every field, zeros while fresh."),
    "initial-events": Requirement(
        "wire §5.2", "Initial events are stored before the answer, which says `running`."
    ),
    "refused-by-path": Requirement(
        "wire §5.2", "A wrong field, or one that is not available yet, is named; nothing is stored."
    ),
    "title": Requirement(
        "clients rule 25", "Titles have up to 512 characters, without control characters.", CLIENTS
    ),
    "overrides": Requirement(
        "wire §5.3", "Overrides replace parts of the agent for this session only."
    ),
    "update": Requirement(
        "wire §5.5, §7.6",
        "An update that changes something is a `session.updated` with only what changed.",
    ),
    "refused-update": Requirement("wire §5.5", "A refused update changes nothing."),
    "running-is-kept": Requirement(
        "wire §5.6, clients rules 3, 51",
        "Archive, delete and a change of tools are refused while running, with the hosted service's words; nothing changes.",
        CLIENTS,
    ),
    "archived": Requirement(
        "wire §13",
        "An archived session is terminated and read-only; archiving twice is the same; its clocks stand.",
    ),
    "matrix": Requirement(
        "wire §5.6, §5.7, §13",
        "What can be done to agents, environments and sessions in every state of their lives; a refusal changes nothing.",
    ),
    "deleted": Requirement("wire §5.6, §13", "A deleted session and all below it are 404."),
    "cleanup": Requirement(
        "clients rule 31", "Environment, agent and session can be put away in any order.", CLIENTS
    ),
    "filters": Requirement(
        "wire §5.6", "Lists filter by agent, version, status, time, deployment and memory store."
    ),
}
