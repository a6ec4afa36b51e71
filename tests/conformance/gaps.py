"""What of the official SDK is not served, or differs, each with its reason.

A line whose reason no longer holds fails the drift test: take it out with the change that made it
untrue.
"""

NOT_YET = "Not there yet; the roadmap has it."
NOT_OURS = "Administers the vendor's own service; this server is administered by its command line."

FAMILIES: dict[str, str] = {
    "deployment_runs": NOT_YET,
    "deployments": NOT_YET,
    "dreams": NOT_YET,
    "memory_stores": NOT_YET,
    "messages": "The Messages API belongs to the model's provider; ask it there.",
    "organization": NOT_OURS,
    "tunnels": "Reaches servers behind a firewall from the vendor's network; ours is yours.",
    "user_profiles": NOT_OURS,
    "webhooks": "Checks deliveries on the client's side; endpoints and deliveries are not there yet.",
}
"""Parts of `client.beta` of which no route is served."""

REQUESTS: dict[str, str] = {}
"""What the SDK may send and our shapes refuse, by method and field."""

CHANGED_ONLY = "Only what an update changed is in it."
PRICED_ONLY = "Only where the model has a list price."
AS_SENT = "The schema is answered as it was sent."

ANSWERS: dict[str, str] = {
    "BetaManagedAgentsCustomToolInputSchema.properties": AS_SENT,
    "BetaManagedAgentsCustomToolInputSchema.required": AS_SENT,
    "BetaManagedAgentsSessionThreadUsage.list_cost": PRICED_ONLY,
    "BetaManagedAgentsSessionUpdatedEvent.agent": CHANGED_ONLY,
    "BetaManagedAgentsSessionUpdatedEvent.budget": CHANGED_ONLY,
    "BetaManagedAgentsSessionUpdatedEvent.metadata": CHANGED_ONLY,
    "BetaManagedAgentsSessionUpdatedEvent.title": CHANGED_ONLY,
    "BetaManagedAgentsSessionUsage.list_cost": PRICED_ONLY,
    "BetaManagedAgentsSessionUsageSnapshot.list_cost": PRICED_ONLY,
    "BetaManagedAgentsSpanModelUsage.speed": "Only where the model's provider says it.",
}
"""`Type.field`: a field the SDK knows and we leave out; `Type+field`: one of ours it does not know."""

OTHERS = "Comes with threads for several agents. " + NOT_YET
OUTCOMES = "Comes with outcomes. " + NOT_YET
WORKFLOWS = "Comes with workflow runs. " + NOT_YET
EVENTS: dict[str, str] = {
    "agent.thread_context_compacted": "Comes with compaction. " + NOT_YET,
    "agent.thread_message_received": OTHERS,
    "agent.thread_message_sent": OTHERS,
    "session.thread_created": OTHERS,
    "span.outcome_evaluation_end": OUTCOMES,
    "span.outcome_evaluation_ongoing": OUTCOMES,
    "span.outcome_evaluation_start": OUTCOMES,
    "user.define_outcome": OUTCOMES,
    "workflow_run.created": WORKFLOWS,
    "workflow_run.error": WORKFLOWS,
    "workflow_run.phase_ended": WORKFLOWS,
    "workflow_run.phase_started": WORKFLOWS,
    "workflow_run.status_ended": WORKFLOWS,
    "workflow_run.status_idle": WORKFLOWS,
    "workflow_run.status_running": WORKFLOWS,
}
"""Events the SDK knows and the run of the drift test does not bring about."""
