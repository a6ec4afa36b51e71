"""Files."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "upload": Requirement(
        "wire §4.1, §4.2, trap 1",
        "A part named `file` is a file, wherever `expires_in_seconds` stands; the answer has every field.",
        SDK,
    ),
    "name": Requirement(
        "wire §4.3, traps 2, 3",
        "The last component of the name is kept and checked; without a name it is `unnamed` and an ending.",
        SDK,
    ),
    "type": Requirement(
        "wire §4.2", "The type is the part's, else found by the name, else by the first bytes."
    ),
    "list": Requirement("wire §4.1", "Newest first, in pages, in both namespaces of the SDK."),
    "ids": Requirement(
        "wire §4.3",
        "`ids` gives those that exist in one page, at most 100, not together with `limit` or `page`.",
    ),
    "older-lists": Requirement(
        "wire §4.3",
        "`before_id` and `after_id` only with a beta name that had them, `has_more` and its kin too; the first beta knows no `expires_at`.",
    ),
    "not-downloadable": Requirement(
        "wire §4.2, §4.3", "An upload cannot be downloaded: 400, `file_not_downloadable`."
    ),
    "download": Requirement(
        "wire §4.1, trap 4",
        "Where the operator allows it uploads can be downloaded, whole or one range of them.",
        OWN,
    ),
    "expiry": Requirement(
        "wire §4.3",
        "An expired file is a 404 when downloaded, `file_expired`; its metadata stays for 30 days.",
        SDK,
    ),
    "delete": Requirement("wire §4.3", "Deleting is final and answers with `file_deleted`."),
    "refused": Requirement(
        "wire §4.3",
        "A form without a file, with a bad name, a bad expiry or another field is a 400 and leaves nothing.",
    ),
    "too-large": Requirement(
        "wire §4.3", "A file beyond the limit is a 413, `request_too_large`, and leaves nothing."
    ),
    "quota": Requirement(
        "wire §4.3", "Beyond the workspace's quota: 400, `storage_quota_exceeded`.", SDK
    ),
    "copies": Requirement(
        "wire §4.4, §6.1, clients rules 17, 18",
        "A session has copies of its files under ids of their own, listed by `scope_id` with name and size, not downloadable, and gone with it.",
        CLIENTS,
    ),
    "mounted": Requirement(
        "wire §6.1, clients rules 13, 15",
        "Files lie read-only where the rules put them; an attempt to change one is an error result.",
        CLIENTS,
    ),
    "live": Requirement(
        "wire §6.2, clients rule 20",
        "A file added to a running sandbox is there for the next tool call, a detached one is not.",
        CLIENTS,
    ),
    "told": Requirement(
        "clients rule 14",
        "The system prompt names where the first files lie; later changes are told before the next input.",
        CLIENTS,
    ),
    "blocks": Requirement(
        "wire §4.4, §7.3",
        "Image and document blocks may name files; what does not exist or cannot be shown is a 400.",
    ),
    "outputs": Requirement(
        "wire §4.4, §6.3, clients rules 4, 17, 18",
        "What lies in `/mnt/session/outputs` is listed and can be downloaded as soon as the session is idle, newest first.",
        CLIENTS,
    ),
    "outputs-again": Requirement(
        "clients rule 18",
        "A rewritten output is one file, the newest; an unchanged one keeps its id; a deleted one stays deleted.",
        CLIENTS,
    ),
    "outputs-plain": Requirement(
        "own choice",
        "Only plain files are handed over: links, pipes and what lies outside are not, whatever they are called.",
        OWN,
    ),
    "outputs-limits": Requirement(
        "own choice", "What is too large or too many is left out; the session goes on.", OWN
    ),
    "checkpoints": Requirement(
        "wire §5.7",
        "What an agent made is there in the next turn, on whatever host; what it changed not at all is not saved again.",
    ),
    "checkpoints-damaged": Requirement(
        "own choice",
        "Where the latest checkpoint cannot be read an older one is restored, then none; the model and `/why` are told.",
        OWN,
    ),
    "checkpoints-failed": Requirement(
        "own choice", "A saving that fails fails no turn; `/why` says so until one succeeds.", OWN
    ),
    "checkpoints-evicted": Requirement(
        "own choice",
        "The sandbox of a waiting session is saved and deleted after a while, never while it works.",
        OWN,
    ),
    "checkpoints-gone": Requirement(
        "own choice", "With a session, archived or deleted, its checkpoints go.", OWN
    ),
    "versions": Requirement(
        "wire §4.1, §4.3", "Older SDKs drive every route in each namespace that they have.", SDK
    ),
    "scope": Requirement(
        "wire §4.1, clients rules 18, 19",
        "`scope_id` needs no beta name; what belongs to no session has no scope.",
        CLIENTS,
    ),
}
