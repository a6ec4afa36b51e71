"""Decisions where nothing is published, as far as they are not part of another family."""

from tests.conformance.requirements.requirement import OWN, Requirement

REQUIREMENTS = {
    "ids": Requirement(
        "wire §1.4, clients rule 32", "Ids are a prefix, `01` and 22 base-62 characters.", OWN
    ),
    "idempotency-key": Requirement("wire §1.6", "`Idempotency-Key` is not looked at.", OWN),
    "list-orders": Requirement(
        "wire §1.8",
        "Environments and sessions come newest first, a thread's events oldest first.",
        OWN,
    ),
    "nulls": Requirement(
        "wire §1.9, §4.2, §5.5",
        "`metadata: null` keeps, and so does `null` for name and scope of an environment; `title: null` clears.",
        OWN,
    ),
    "execution-identity": Requirement(
        "wire §2.3", "Agents run as the service account; another identity is a 400.", OWN
    ),
    "version-times": Requirement(
        "wire §2.4",
        "A version keeps the agent's `created_at` and its own `updated_at`; `archived_at` is the agent's.",
        OWN,
    ),
    "tool-configs": Requirement(
        "wire §3.2", "`configs` holds what was given; the same tool twice is a 400.", OWN
    ),
    "environments": Requirement(
        "wire §4.1, §4.2",
        "Names may be shared; packages behind a limited network need `allow_package_managers`; one that is in use may be deleted.",
        OWN,
    ),
    "rescheduling": Requirement(
        "wire §5.7",
        "While a retry is waited for, events are taken, and archive and deletion are refused as while running.",
        OWN,
    ),
    "retry-order": Requirement(
        "wire §7.10", "The events of a failed request and its retry come in this order.", OWN
    ),
    "siblings": Requirement(
        "wire §7.10", "Calls that need nobody run before the session waits for their siblings.", OWN
    ),
    "streamed-once": Requirement(
        "wire §7.1", "A queued message is streamed twice; the last frame has its time.", OWN
    ),
    "auto-without-judge": Requirement(
        "wire §3.1", "Without a judge `auto` asks, with the reason `indeterminate`.", OWN
    ),
    "instructions-alone": Requirement(
        "wire §7.2", "A `system.message` alone waits for the next turn and starts none.", OWN
    ),
    "outcome-bounds": Requirement("wire §10", "An outcome has 1 to 20 iterations.", OWN),
}
