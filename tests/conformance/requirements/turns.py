"""What happens in a turn."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "order": Requirement(
        "wire §7.10, trap 36",
        "The events of a turn come in this order, and the list is what was streamed.",
    ),
    "queued-twice": Requirement(
        "wire §7.1", "A message is streamed when queued, and again at its place in the log."
    ),
    "status-first": Requirement(
        "clients rule 3",
        "The status is committed before its event can be seen; archive right after an idle succeeds.",
        CLIENTS,
    ),
    "custom-tools": Requirement(
        "wire §7.6, clients rules 7, 52",
        "Custom tools are answered one by one; each partial answer idles again with the remainder.",
        CLIENTS,
    ),
    "answer-before-idle": Requirement(
        "wire §7.2", "An answer may come before the idle that asks for it."
    ),
    "duplicate-answers": Requirement(
        "wire §7.2, trap 41, clients rule 8",
        "A second answer to a call is a 200 and adds nothing, also after the turn.",
        SDK,
    ),
    "message-while-waiting": Requirement(
        "wire §7.2", "A message to a session that waits for answers is a 400."
    ),
    "asks": Requirement(
        "wire §3.1, §7.6",
        "A call under `always_ask` waits; allow runs it, deny gives the model the reason.",
    ),
    "needless-confirmation": Requirement(
        "wire §7.2", "A confirmation for a call that does not ask is a 400."
    ),
    "interrupt": Requirement(
        "wire §7.2, §7.10",
        "An interrupt ends what runs; its call gets an error result; what was queued goes on.",
    ),
    "interrupt-while-waiting": Requirement("wire §7.2", "An interrupt ends the wait for answers."),
    "queue": Requirement(
        "clients rule 9", "Messages sent during a turn wait; no idle comes between them.", CLIENTS
    ),
    "idle-is-last": Requirement(
        "clients rule 5", "The last entry of an idle session's log is its idle.", CLIENTS
    ),
    "previews": Requirement(
        "wire §8.4, trap 35",
        "Previews come to those who ask, begin with a start, count from 0, and are never kept.",
        SDK,
    ),
    "tool-runner": Requirement(
        "traps 37 to 41", "The SDK's tool runner answers custom tools and comes to an end.", SDK
    ),
    "real-hands": Requirement(
        "wire §3.3", "bash, write, edit and glob work in a real sandbox, state kept between calls."
    ),
    "auto": Requirement(
        "wire §3.1, §7.5",
        "Under `auto` a judge allows, asks or denies each call; a denied one gets its error result and cannot be confirmed.",
    ),
    "auto-undecided": Requirement(
        "wire §3.1",
        "Without a judge, or without a clear answer of it in time, `auto` asks with `indeterminate`.",
    ),
    "auto-words": Requirement(
        "wire §3.1",
        "The judge is told what `user.message` says, and nothing else as the user's wish.",
    ),
    "auto-counted": Requirement(
        "wire §5.4, §12",
        "What the judge uses counts in usage, list cost and budget; its verdict is in the audit row.",
        OWN,
    ),
    "spans": Requirement(
        "wire §7.9, §12, trap 19",
        "A request to the model is a pair of spans with its tokens; the session's usage has another shape.",
        SDK,
    ),
}
