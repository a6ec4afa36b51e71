"""Programs written the way people write them for the hosted service."""

from tests.conformance.requirements.requirement import CLIENTS, Requirement

REQUIREMENTS = {
    "send-first": Requirement(
        "clients rules 1, 3",
        "Send, open the stream afterwards, leave on `end_turn`, poll the status, archive: turn after turn.",
        CLIENTS,
    ),
    "stream-first": Requirement(
        "clients rules 1, 9, 12",
        "Open the stream, send, leave on the first idle; the last text is the summary, and nothing of an older turn comes.",
        CLIENTS,
    ),
    "last-element": Requirement(
        "clients rules 2, 5, 6",
        "Poll the first page of the list and look at its last element only.",
        CLIENTS,
    ),
    "new-idles": Requirement(
        "clients rules 2, 5, 7, 12",
        "Poll the list for new entries, answer the calls of a new idle, come back later with an approval and another message.",
        CLIENTS,
    ),
    "many-calls": Requirement(
        "clients rules 7, 8, 52",
        "Answer twelve parallel calls one by one, by the ids that each idle lists; every id was seen before.",
        CLIENTS,
    ),
    "patient-human": Requirement(
        "clients rules 10, 29",
        "Keep a stream open in silence while a human decides; an agent with custom tools only.",
        CLIENTS,
    ),
    "no-wait": Requirement(
        "clients rules 1, 3",
        "Archive right after the idle, without waiting; several sessions at once from a pool of threads.",
        CLIENTS,
    ),
    "loose-shapes": Requirement(
        "clients rules 22, 23, 25, 28, 30",
        "`anthropic_cloud`, packages without a type, long titles, a beta named twice and one never heard of.",
        CLIENTS,
    ),
    "watch-by-http": Requirement(
        "clients rules 30, 33, wire §10",
        "Raw HTTP with an old version; an outcome is a clear 400 and changes nothing, so that the client can go on.",
        CLIENTS,
    ),
    "handler": Requirement(
        "clients rules 5, 37",
        "A handler that is only told the session's id finds the open calls and all texts in the list.",
        CLIENTS,
    ),
    "lifecycle": Requirement(
        "clients rule 31, wire §2.5",
        "Read the first agents, update by version, read the versions, put everything away in the usual order.",
        CLIENTS,
    ),
    "wait-for-idle": Requirement(
        "clients rule 1",
        "A tool of a TypeScript server that opens its stream long after the message: it ends, with the text.",
        CLIENTS,
    ),
}
