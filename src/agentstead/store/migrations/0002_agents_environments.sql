-- What sessions are made from: agents with all their versions, and environments.
-- A version's body is the wire's Agent without id, version and times: written once, never changed.

create table agents (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    version       integer not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    archived_at   timestamptz
);
create index agents_page on agents (workspace_id, created_at, id);

create table agent_versions (
    agent_id      text collate "C" not null references agents on delete cascade,
    version       integer not null,
    workspace_id  text collate "C" not null references workspaces,
    body          json not null,
    created_at    timestamptz not null,
    primary key (agent_id, version)
);

create table environments (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    name          text not null,
    description   text,
    config        json not null,
    metadata      json not null default '{}',
    scope         text not null default 'organization',
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    archived_at   timestamptz
);
create index environments_page on environments (workspace_id, created_at, id);
