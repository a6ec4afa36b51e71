"""Where the published sources are silent: the question, our answer, what it rests on, and its proof.

Promises: a proof is a requirement of the manifest, so a test holds each answer, or the gap says that
what it is about is not there yet; `test_coverage.py` checks it.
"""

from dataclasses import dataclass

from tests.conformance.requirements.requirement import CLIENTS, DOCUMENTED, OWN, SDK


@dataclass(frozen=True)
class Silent:
    """One open question of the interface."""

    source: str
    question: str
    answer: str
    evidence: str
    proof: str
    """Id of a requirement."""


SILENT: tuple[Silent, ...] = (
    # transport
    Silent("wire §1.1", "Are streams compressed?", "Never, nor buffered.", SDK, "streams:at-once"),
    Silent("wire §1.2", "Do shapes depend on `anthropic-version`?", "No; any value, and none, is taken.", OWN, "errors:key"),
    Silent("wire §1.2", "A missing or unknown beta name?", "Taken without a word.", OWN, "errors:betas"),
    Silent("wire §1.2", "Another workspace than the key's?", "403 `permission_error`.", OWN, "errors:other-workspace"),
    Silent("wire §1.4", "The form of ids?", "Prefix, `01`, 22 base-62 characters that sort by time.", DOCUMENTED, "choices:ids"),
    Silent("wire §1.5", "`error.type` of a 412?", "`invalid_request_error`.", OWN, "work:heartbeat"),
    Silent("wire §1.5", "Is 422 used?", "Never; what is wrong with a request is a 400.", OWN, "errors:broken-bodies"),
    Silent("wire §1.5", "Where are named reasons of a refusal?", "In `error.details.error_code`, and in the message.", SDK, "events:system-message-models"),
    Silent("wire §1.6", "Is `Idempotency-Key` honoured?", "No; the SDK sends none.", SDK, "choices:idempotency-key"),
    Silent("wire §1.6", "An error after something was written?", "None: what answers 5xx, 409 or 429 has changed nothing.", OWN, "errors:database-lost"),
    Silent("wire §1.7", "Rate limits?", "None.", OWN, "errors:rate-limits"),
    Silent("wire §1.8", "A malformed cursor?", "400.", OWN, "paging:malformed"),
    Silent("wire §1.8", "`limit` out of its bounds?", "400.", OWN, "paging:limits"),
    Silent("wire §1.8", "The order of agents?", "Newest first.", OWN, "paging:newest-first"),
    Silent("wire §1.8", "The order of an agent's versions?", "Newest first.", OWN, "agents:versions"),
    Silent("wire §1.8", "The order of environments, sessions, a thread's events?", "Newest first, newest first, oldest first.", OWN, "choices:list-orders"),
    Silent("wire §1.8", "The order of threads?", "As they were created; the primary one first.", OWN, "threads:primary"),
    Silent("wire §1.8", "The order of a session's resources?", "As they were attached.", OWN, "resources:order"),
    Silent("wire §1.9", "`metadata: null` in an update?", "Keeps.", OWN, "choices:nulls"),
    # agents and tools
    Silent("wire §2.1", "Fields that are absent?", "Every field is answered: null, `[]` or `{}`.", SDK, "sdks:answers"),
    Silent("wire §2.2", "A model that nobody serves?", "400 that lists what there is; names are echoed as sent.", CLIENTS, "agents:unknown-model"),
    Silent("wire §2.3", "Another execution identity than the service account?", "400.", OWN, "choices:execution-identity"),
    Silent("wire §2.3", "Skills on an agent without the `read` tool?", "400, as documented for sessions.", DOCUMENTED, "skills:agents"),
    Silent("wire §2.4", "The times of an old version?", "`created_at` is the agent's, `updated_at` its own, `archived_at` the agent's.", OWN, "choices:version-times"),
    Silent("wire §2.5", "An update of an archived agent?", "400.", OWN, "agents:life"),
    Silent("wire §2.6", "Archiving twice?", "200 with the first time.", OWN, "agents:life"),
    Silent("wire §3.1", "`auto` without a judge?", "Asks, reason `indeterminate`.", OWN, "choices:auto-without-judge"),
    Silent("wire §3.2", "Does `configs` list all tools?", "Only those that were given, resolved against the default.", DOCUMENTED, "choices:tool-configs"),
    Silent("wire §3.2", "A tool twice in `configs`?", "400.", OWN, "choices:tool-configs"),
    Silent("wire §3.4", "Two servers with a tool of one name?", "Both are offered; events carry the bare name and the server's.", OWN, "mcp:same-name"),
    # environments
    Silent("wire §4.1", "Are names of environments unique?", "No.", DOCUMENTED, "choices:environments"),
    Silent("wire §4.1", "An environment without `config`?", "Cloud, unrestricted, no packages.", CLIENTS, "environments:every-field"),
    Silent("wire §4.2", "`null` for name or scope?", "Keeps.", OWN, "choices:nulls"),
    Silent("wire §4.2", "Deleting one that sessions use?", "Allowed; sessions keep what they were made with.", OWN, "choices:environments"),
    # sessions
    Silent("wire §5.1", "The length of a title?", "512 characters, without control characters.", CLIENTS, "sessions:title"),
    Silent("wire §5.2", "An archived, an unknown environment?", "400 `environment_archived`; 404.", OWN, "environments:archived"),
    Silent("wire §5.2", "An archived agent?", "400.", OWN, "agents:life"),
    Silent("wire §5.4", "A budget on a model without a price?", "400 `model_not_budgetable`.", SDK, "budgets:unpriced"),
    Silent("wire §5.5", "`title: null`?", "Clears.", OWN, "choices:nulls"),
    Silent("wire §5.5", "An update of an archived or terminated session?", "400.", OWN, "sessions:archived"),
    Silent("wire §5.6", "Can the status trail its event?", "No: it is committed first.", CLIENTS, "turns:status-first"),
    Silent("wire §5.7", "Archive and deletion while a retry is waited for?", "400, as while running.", OWN, "choices:rescheduling"),
    Silent("wire §5.7", "Events while a retry is waited for?", "Taken.", OWN, "choices:rescheduling"),
    Silent("wire §5.7", "Events to an archived session?", "400, not 409, which clients would repeat.", OWN, "sessions:archived"),
    Silent("wire §6.1", "Which `mount_path` is echoed?", "The one that was asked for; without one the path it has.", OWN, "resources:shapes"),
    Silent("wire §6.2", "Detaching a repository or memory store?", "400.", OWN, "resources:fixed"),
    Silent("wire §6.2", "A token for a resource that has none?", "400.", OWN, "resources:token"),
    # events
    Silent("wire §7.1", "How often is client input streamed?", "A message when queued and when taken in; everything has its time in its last frame.", DOCUMENTED, "choices:streamed-once"),
    Silent("wire §7.2", "How many events in one send?", "1 to 100.", OWN, "events:all-or-nothing"),
    Silent("wire §7.2", "A `system.message` alone?", "Taken unless answers are waited for; starts no turn.", DOCUMENTED, "choices:instructions-alone"),
    Silent("wire §7.2", "An interrupt of an unknown thread?", "400.", OWN, "events:idle-interrupt"),
    Silent("wire §7.10", "When do siblings of an asking call run?", "Before the session waits.", DOCUMENTED, "choices:siblings"),
    Silent("wire §7.10", "What becomes of calls that an interrupt cuts, on the primary thread?", "An error result with the documented words.", DOCUMENTED, "turns:interrupt"),
    Silent("wire §7.10", "The order around a retry?", "Error, rescheduled, running, the next request.", SDK, "choices:retry-order"),
    Silent("wire §7.10", "The order of the two `running` events, of message and calls?", "Session before thread; words before calls.", SDK, "turns:order"),
    Silent("wire §7.11", "Where is queued input listed?", "Last; not at all with a filter by time.", CLIENTS, "events:filters"),
    # streams
    Silent("wire §8.2", "`id:` lines?", "On frames of the log, for resuming; the SDKs ignore them.", SDK, "resume:ids"),
    Silent("wire §8.2", "What keeps a quiet stream alive?", "Comments, every 10 s unless set otherwise.", SDK, "streams:kept-alive"),
    Silent("wire §8.3", "A stream after the session has ended?", "It ends after the last event; a later one at once.", OWN, "streams:archived"),
    Silent("wire §8.3", "How many may follow?", "Any number.", OWN, "streams:many"),
    Silent("wire §8.3", "The order of a stream?", "The list's.", OWN, "turns:order"),
    # threads, outcomes, usage
    Silent("wire §9.1", "The version of `self` when the save makes a new one?", "The new one.", OWN, "multiagent:pins"),
    Silent("wire §9.2", "Workflows where there are none?", "The block is kept; a session that would need them is a 400.", OWN, "multiagent:not-started"),
    Silent("wire §9.4", "Archiving the primary thread?", "400.", OWN, "threads:primary-stays"),
    Silent("wire §9.5", "Ids, order and names in delegation?", "Open until there are threads of several agents.", OWN, "multiagent:threads"),
    Silent("wire §10", "The bounds of `max_iterations`?", "1 to 20.", DOCUMENTED, "choices:outcome-bounds"),
    Silent("wire §10", "The heartbeat of an evaluation, idles between cycles?", "Open until there are outcomes.", OWN, "events:outcomes"),
    Silent("wire §12", "Usage of a fresh session?", "Zeros; `list_cost` only where there is a price.", DOCUMENTED, "sessions:every-field"),
    # work queue
    Silent("work queue §1.1", "How many live items has a session?", "One.", OWN, "work:queued-with-input"),
    Silent("work queue §1.2", "Where do environment keys come from?", "The command line; several for each environment, revoked at once.", OWN, "work:environment-keys"),
    Silent("work queue §1.2", "What may a sessions token do?", "Its own session, its own item; nothing else.", OWN, "work:sessions-token"),
    Silent("work queue §1.3", "An environment without a queue, an unknown item?", "400; 404.", OWN, "work:not-self-hosted"),
    Silent("work queue §1.5", "A poll's hold on an item?", "Until acknowledged, or `reclaim_older_than_ms`.", SDK, "work:claim"),
    Silent("work queue §1.5", "The first heartbeat?", "Makes the item active; `NO_HEARTBEAT` only while there is none.", SDK, "work:heartbeat"),
    Silent("work queue §1.5", "A lease that ends?", "The item is queued again; its old holder gets 412.", SDK, "work:lapsed-lease"),
    Silent("work queue §1.5", "The length of a lease?", "What the worker asks for, within two settings.", OWN, "work:ttl"),
    Silent("work queue §1.5", "A stop of what is queued, or stopped?", "Ends it; changes nothing.", OWN, "work:stop"),
    Silent("work queue §1.6", "When is an item queued?", "With input, not with the session.", DOCUMENTED, "work:queued-with-input"),
    Silent("work queue §1.6", "Input just before a stop?", "Queues another item.", OWN, "work:stop-race"),
    Silent("work queue §1.9", "A result after the lease was lost?", "Taken; the first one counts.", SDK, "work:late-result"),
    Silent("work queue §1.9", "A poll on an archived environment?", "`null`: an error would end the worker.", SDK, "work:archived-environment"),
)  # fmt: skip
"""Every place where an interface description says nothing and we had to."""
