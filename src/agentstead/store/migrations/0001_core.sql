-- Workspaces, keys, audit, and the truth of a session: its row, threads, events and inbox.
-- Payloads are json, not jsonb: the bytes that went in come out, and NUL escapes survive.

create table workspaces (
    id          text collate "C" primary key,
    name        text not null,
    created_at  timestamptz not null default now()
);

insert into workspaces (id, name) values ('wrkspc_01000000000000000default', 'default');

create table api_keys (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    name          text not null,
    hash          text collate "C" not null unique,       -- sha-256 of the key, hex
    prefix        text not null,                          -- what may be shown of it
    scopes        json not null default '[]',
    created_at    timestamptz not null default now(),
    last_used_at  timestamptz,
    revoked_at    timestamptz
);

-- Written unchained in the transaction of what it records; a chore chains the rows in commit order.
create table audit (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null,
    at            timestamptz not null,
    actor         text not null,                          -- key id, worker, or 'system'
    action        text not null,
    target_type   text not null,
    target_id     text collate "C" not null,
    source        text,                                   -- address of the caller
    decision      text,
    rule          text,
    detail        json not null default '{}',
    txid          xid8 not null default pg_current_xact_id(),
    chain_seq     bigint unique,
    prev_hash     bytea,
    hash          bytea,
    signature     bytea
);
create index audit_unchained on audit (txid, id) where chain_seq is null;
create index audit_target on audit (workspace_id, target_type, target_id, at);

create table sessions (
    id                 text collate "C" primary key,
    workspace_id       text collate "C" not null references workspaces,
    primary_thread_id  text collate "C" not null,
    agent_id           text collate "C" not null,
    agent_version      integer not null,
    agent              json not null,
    environment_id     text collate "C" not null,
    environment        json not null,
    title              text,
    metadata           json not null default '{}',
    resources          json not null default '[]',
    vault_ids          json not null default '[]',
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    archived_at        timestamptz,
    terminated_at      timestamptz,
    -- caches of the log, written with the events that cause them
    status             text not null,
    stop_reason        json,
    asks               json not null default '[]',
    usage              json not null default '{}',
    stats              json not null default '{}',
    active_since       timestamptz,
    head_seq           bigint not null default 0,
    last_event_at      timestamptz,
    -- who may work on it, and when it wants somebody
    wake_at            timestamptz,
    fence              bigint not null default 0,
    lease_owner        text collate "C",
    lease_until        timestamptz,
    attempts           integer not null default 0,
    -- the latest batch that started work, for streams opened after it was sent
    batch_first        text collate "C",                  -- id of its first client event
    batch_arrived      bigint,                            -- the same in the inbox's order
    batch_seen         text[] not null default '{}',      -- views ('' = the session's) that have it
    batch_ended_seq    bigint,                            -- the idle that ended its turn
    batch_ended_at     timestamptz
) with (fillfactor = 60);
create index sessions_wake on sessions (wake_at) where wake_at is not null;
create index sessions_page on sessions (workspace_id, created_at, id);
create index sessions_agent on sessions (workspace_id, agent_id, created_at, id);

create table threads (
    id                text collate "C" primary key,
    session_id        text collate "C" not null,
    workspace_id      text collate "C" not null,
    parent_thread_id  text collate "C",
    agent             json,                               -- null: the session's own
    status            text not null,
    usage             json,
    stats             json,
    workflow_run_id   text collate "C",
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    archived_at       timestamptz
) with (fillfactor = 70);
create index threads_session on threads (session_id, created_at, id);

create table events (
    session_id    text collate "C" not null,
    seq           bigint not null,
    id            text collate "C" not null,
    workspace_id  text collate "C" not null,
    thread_id     text collate "C" not null,
    type          text collate "C" not null,
    primary_view  boolean not null,
    at            timestamptz not null,
    fence         bigint not null,                        -- 0: written by a route
    payload       json not null,
    private       json,
    primary key (session_id, seq),
    unique (id)
);

create table inbox (
    arrived       bigint generated always as identity primary key,
    session_id    text collate "C" not null,
    id            text collate "C" not null unique,
    workspace_id  text collate "C" not null,
    thread_id     text collate "C",
    type          text collate "C" not null,
    at            timestamptz not null,
    payload       json not null,
    private       json
);
create index inbox_session on inbox (session_id, arrived);

-- Who is there: while a worker lives, its connection holds the advisory lock of its number.
create table workers (
    owner       text collate "C" primary key,
    number      integer generated always as identity unique,
    host        text not null,
    pid         integer not null,
    started_at  timestamptz not null default now()
);
