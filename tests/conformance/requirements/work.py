"""The work queue of self-hosted environments."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "empty-poll": Requirement(
        "work queue §1.9",
        "A poll that finds nothing answers 200 with the body `null`, after `block_ms` (1 to 999).",
        SDK,
    ),
    "stats": Requirement(
        "work queue §1.4",
        "Stats tell depth, pending, the oldest item and the workers that poll.",
        SDK,
    ),
    "queued-with-input": Requirement(
        "work queue §1.1, §1.6",
        "A session is queued when it gets input, not before; one live item for each session.",
    ),
    "claim": Requirement(
        "work queue §1.5",
        "A poll hides an item until it is acknowledged, or `reclaim_older_than_ms` have passed.",
        SDK,
    ),
    "secret": Requirement(
        "work queue §1.2, clients rule 42",
        "Only a poll's answer has a secret; both alphabets of base64 decode it to the sessions token.",
        CLIENTS,
    ),
    "heartbeat": Requirement(
        "work queue §1.5",
        "The first heartbeat activates; a value that is not the latest is 412 with the lease's state.",
        SDK,
    ),
    "ttl": Requirement(
        "work queue §1.5",
        "The lease's length is what a worker asks for, between two settings.",
        OWN,
    ),
    "stop": Requirement(
        "work queue §1.5",
        "A stop lets the holder finish, a forced one ends the item; repeating it changes nothing.",
        SDK,
    ),
    "stop-reason": Requirement(
        "own",
        "Every stop has its reason in the item, in `/why` and in the audit trail.",
        OWN,
    ),
    "environment-keys": Requirement(
        "work queue §1.2, clients rule 41",
        "Environment keys serve their environment's queue and sessions, and nothing else; a revoked "
        "one is refused at once.",
        CLIENTS,
    ),
    "sessions-token": Requirement(
        "work queue §1.2", "The token of an item serves its session, and nothing else.", SDK
    ),
    "metadata": Requirement(
        "work queue §1.3", "Metadata of items is merged; null deletes; `invalid_metadata`.", SDK
    ),
    "not-self-hosted": Requirement(
        "work queue §1.3", "Other environments have no queue: 400. Unknown items: 404.", OWN
    ),
    "archived-environment": Requirement(
        "work queue §1.9",
        "A poll on an archived environment answers `null`, since an error would end its workers.",
        OWN,
    ),
    "ended-session": Requirement(
        "work queue §1.6", "An archived or deleted session stops its items."
    ),
    "tool-result": Requirement(
        "wire §7.2, §7.10",
        "Tools of the sandbox wait for `user.tool_result`; partial answers keep the rest open, "
        "repeated ones have no effect.",
        SDK,
    ),
    "late-result": Requirement(
        "work queue §1.9",
        "After a lost lease the old token still delivers its result; the first one counts.",
        SDK,
    ),
    "confirmation-first": Requirement(
        "wire §7.10",
        "An `ask` is confirmed before a worker runs it; a denied call needs no worker.",
        SDK,
    ),
    "lapsed-lease": Requirement(
        "work queue §1.5, clients rule 40",
        "An item whose holder is lost, also before its first heartbeat, is queued again.",
        CLIENTS,
    ),
    "ended-unanswered": Requirement(
        "clients rule 54",
        "A session whose item ends while calls are unanswered is queued again, a limited number of "
        "times; then its log and `/why` say so.",
        CLIENTS,
    ),
    "stop-race": Requirement(
        "work queue §1.6", "Input that came before the stop of the live item queues another."
    ),
    "worker": Requirement(
        "work queue §1.7",
        "The official EnvironmentWorker serves sessions to their end; new input, a new item.",
        SDK,
    ),
    "worker-asks": Requirement(
        "work queue §1.7",
        "Beside it the application confirms calls and answers its custom tools.",
        SDK,
    ),
    "worker-killed": Requirement(
        "work queue §1.5",
        "A worker killed in the middle of a call is followed by another; the call has one result.",
        SDK,
    ),
    "poller": Requirement(
        "work queue §1.7", "`work.poller` drains the queue and returns at the first `null`.", SDK
    ),
    "handle-item": Requirement(
        "work queue §1.7, clients rule 41",
        "`handle_item()` serves an item from the environment, with the secret or the key alone.",
        SDK,
    ),
    "tool-runner": Requirement(
        "wire §18",
        "`sessions.events.tool_runner` answers a call of a self-hosted environment.",
        SDK,
    ),
    "fleet": Requirement(
        "own",
        "Three workers share a queue, one is killed, all sessions finish.",
        OWN,
    ),
}
