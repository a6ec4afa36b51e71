"""Going on with a stream that was cut, and waiting without one."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "after": Requirement(
        "extension",
        "`Last-Event-ID` or `?after=` on a stream replays what came after that event, then goes live: no gap, no duplicate. The header counts when both are there.",
        OWN,
    ),
    "ids": Requirement(
        "extension",
        "Frames from the log carry `id:`; queued input and previews, which have no place in it, do not.",
        OWN,
    ),
    "queued": Requirement(
        "extension",
        "What is still queued comes again at the end of a replay; after a queued event only what is behind it.",
        OWN,
    ),
    "unknown": Requirement(
        "extension", "An event that the session does not have is a 400 that names it.", OWN
    ),
    "sdks": Requirement(
        "extension", "The official SDKs of every version read such frames and can resume.", SDK
    ),
    "two-servers": Requirement(
        "clients rule 1",
        "With several API processes on one database a turn that was streamed by any of them is not replayed by another.",
        CLIENTS,
    ),
    "wait": Requirement(
        "extension",
        "`/wait` answers with the session once it is idle or terminated, or says that the time is over.",
        OWN,
    ),
    "wait-unseen": Requirement(
        "extension", "A turn that was only waited for is still unseen for a late stream.", OWN
    ),
    "wait-query": Requirement(
        "extension", "`until` is idle or terminated, `timeout_seconds` from 0 to 300.", OWN
    ),
    "rest": Requirement(
        "clients rule 10",
        "The operator can have streams end some time after a turn's end; never while an answer is awaited.",
        CLIENTS,
    ),
}
