"""What public programs do, rule by rule, and what proves that they run here unchanged.

A rule is proved by the requirements whose source names it, or by a test elsewhere that names it
(`ELSEWHERE`); or it is not due yet, and says why. `test_coverage.py` checks this both ways.
"""

RULES: dict[int, str] = {
    1: "A stream opened after a send still gets the batch that nobody has seen.",
    2: "When a send returns, its events end the list and the status is `running`.",
    3: "The status is written before an idle event is visible; archive right after it succeeds.",
    4: "Outputs are listed before the session is idle.",
    5: "The last entry of an idle session's log is its `session.status_idle`.",
    6: "A page of events has 1,000 by default and at most, oldest first.",
    7: "Ids to answer never come before their calls, and never after their answers.",
    8: "A second result for the same call is a 200 and ignored.",
    9: "No session idle while anything of the turn is still to come.",
    10: "A stream may be ended some time after a turn did, never while somebody is awaited.",
    11: "A tool's input is never shortened in events.",
    12: "Text comes before the calls of its turn, and nothing textual follows the final answer.",
    13: "Mount paths may be relative, below the uploads, or elsewhere.",
    14: "The model is told where files lie.",
    15: "Uploads are read-only; mistakes on them are results.",
    16: "/mnt/user, /tmp, /workspace and the outputs are writable, and programs run there.",
    17: "Copies of inputs are not downloadable, outputs are.",
    18: "A session's files are listed newest first, inputs too, a rewritten output once.",
    19: "`scope_id` needs no beta.",
    20: "A file that is added is there before the next tool call; one that is taken away is gone.",
    21: "A repository's relative path begins in the workspace.",
    22: "`anthropic_cloud` is `cloud`.",
    23: "An environment may say next to nothing; answers say everything.",
    24: "Packages are installed before the first tool call; a failure does not end the session.",
    25: "Titles have up to 512 characters, none of them a control character.",
    26: "Unknown models go to the operator's default; names are echoed as sent.",
    27: "Children are offered `send_to_parent`; one report per child.",
    28: "Tools that are listed in `configs` restrict nothing.",
    29: "A session that needs no sandbox starts none.",
    30: "Betas may be doubled or unknown; old headers are taken.",
    31: "Session, environment, agent and what they name are put away in any order.",
    32: "Ids fit as names: letters, digits, one underscore, unique ignoring case, short.",
    33: "An outcome and a message in one request become one turn.",
    34: "An evaluation's explanation is always a text.",
    35: "The operator may let graders use the web.",
    36: "Webhooks are signed as the SDK unwraps them, and in no older way.",
    37: "A webhook for idle fires on the transition only, when everything is readable.",
    38: "`session.requires_action` is delivered to who asks for it by name.",
    39: "Work that returns to its queue is announced again.",
    40: "A lease lasts at least 300 s from the acknowledgement.",
    41: "An environment key alone carries a whole item of work.",
    42: "Secrets are the same in both alphabets of base64.",
    43: "Work ids are opaque to programs.",
    44: "An older client may delete a skill's last version.",
    45: "A vault and its credentials are archived in any order.",
    46: "Schedules take ranges, lists and steps.",
    47: "Memory stores are mounted in sessions of deployments too.",
    48: "A run's session can be read and followed when the run is answered.",
    49: "`/v1/messages` is a clean JSON 404.",
    50: "`server_name` in an `mcp_toolset` is a 400 that names `mcp_server_name`.",
    51: "Archive and delete of a running session are refused in the hosted service's words.",
    52: "An idle is written again for each part of an answer.",
    53: "A mount path is echoed as it was requested.",
    54: "Work that ends with calls unanswered is queued again, with a reason.",
    55: "Memory stores are mounted under /mnt/memory whatever made the session.",
}

ELSEWHERE: dict[int, str] = {
    11: "tests/conformance/test_programs.py::test_a_notebook_that_streams_first",
    16: "tests/sandbox/test_bubblewrap.py::"
    "test_writable_places_run_programs_and_uploads_cannot_be_changed",
    32: "tests/test_ids.py::test_ids_fit_as_names",
    39: "tests/log/test_work.py::test_input_queues_one_item_in_its_own_transaction",
}
"""Rule → a test that names it."""

OTHER_AGENTS = (
    "Threads of several agents are not there yet; a session that would need them is a 400."
)
OUTCOMES = "Outcomes are not there yet: a 400 that names them."
WEBHOOKS = "Webhooks are not there yet."
DEPLOYMENTS = "Deployments are not there yet."
STORES = "Memory stores are not there yet: a 400 that names them."

NOT_DUE: dict[int, str] = {
    27: OTHER_AGENTS,
    34: OUTCOMES,
    35: OUTCOMES,
    36: WEBHOOKS,
    38: WEBHOOKS,
    43: "Nothing to hold: programs take any id.",
    46: DEPLOYMENTS,
    47: STORES,
    48: DEPLOYMENTS,
    55: STORES,
}
"""Rules that nothing proves, and why."""

PARTLY: dict[int, str] = {
    9: "Between queued messages; for children and outcomes it comes with them. " + OTHER_AGENTS,
    33: "That it is refused whole. " + OUTCOMES,
    37: "That everything is readable at once. " + WEBHOOKS,
    39: "By what a host polls; " + WEBHOOKS,
}
"""Rules of which a part is not due."""
