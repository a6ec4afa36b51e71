-- Stops: the operator's word that sessions do nothing until it is lifted.
create table stops (
    id           text collate "C" primary key,
    workspace_id text collate "C" not null references workspaces,
    agent_id     text collate "C",                   -- of these three at most one is set
    session_id   text collate "C",
    metadata     json,                               -- pairs that a session must have
    reason       text not null,
    created_by   text not null,
    created_at   timestamptz not null,
    sessions     integer not null default 0,         -- how many it found
    interrupted  integer not null default 0,         -- how many of them worked
    lifted_at    timestamptz,
    lifted_by    text
);
create index stops_page on stops (workspace_id, created_at, id);
-- The stop that holds for a session; null: none.
alter table sessions add column stopped_by text collate "C";
create index sessions_stopped on sessions (stopped_by) where stopped_by is not null;
