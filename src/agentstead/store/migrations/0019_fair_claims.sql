-- agentstead: compatible
-- Who gets the next worker: within a workspace by priority and age, between workspaces by what runs there.
alter table sessions add column priority smallint not null default 0;
-- How many sessions a worker takes at once, for who asks why a session waits.
alter table workers add column sessions_max integer;
-- A point of priority is worth a minute of waiting (log/claims.py RANK). Those that wait, in their order:
create index sessions_waiting on sessions
    (workspace_id, (extract(epoch from (wake_at - timestamptz '2000-01-01 00:00:00+00'))::float8 - 60 * priority))
    where wake_at is not null and lease_owner is null;
-- and those that a worker has, or had:
create index sessions_held on sessions (workspace_id) where lease_owner is not null;
drop index sessions_wake;
