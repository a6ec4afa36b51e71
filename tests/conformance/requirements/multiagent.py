"""Agents that hand work to others."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "coordinator": Requirement(
        "wire §9.1",
        "A coordinator's agents are answered with the version they had when it was saved, the advisor last.",
        SDK,
    ),
    "roster": Requirement(
        "wire §9.1, §13",
        "Its agents are distinct, exist, are not archived, have no roster and no other region; at most 20, one self, one advisor.",
    ),
    "pins": Requirement(
        "wire §9.1, §2.5",
        "Versions are taken anew only when the roster is sent; the agent itself is named at the version that is written.",
        OWN,
    ),
    "members": Requirement(
        "wire §9.2", "`multiagent_20261001` is answered whole; an update is merged level by level."
    ),
    "advisor-model": Requirement(
        "wire §9.1, clients rule 26",
        "An advisor's model is echoed as sent, and is a 400 when nothing serves it.",
        CLIENTS,
    ),
    "not-started": Requirement(
        "wire §9.5, §11",
        "A session of an agent that may hand work to others is a 400 that names what is missing.",
        OWN,
    ),
    "threads": Requirement(
        "wire §9.5, §9.6, §11",
        "A session runs threads of several agents.",
        gap="An agent's block is kept; its sessions are refused with a 400 that names it.",
    ),
}
