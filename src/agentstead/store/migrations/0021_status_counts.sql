-- agentstead: compatible
-- Counting sessions by state, for readiness and metrics, without reading the rows of all that are idle.
-- A change of state changes `wake_at` as well, so rows are rewritten no oftener than before.
create index sessions_status on sessions (status) where archived_at is null;
