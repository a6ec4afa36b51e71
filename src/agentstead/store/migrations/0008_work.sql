-- The work queue of self-hosted environments: which sessions want a host, and who is one.

create table work (
    id                 text collate "C" primary key,
    workspace_id       text collate "C" not null references workspaces,
    environment_id     text collate "C" not null,
    session_id         text collate "C" not null,
    state              text not null,                     -- queued starting active stopping stopped
    cause              text not null,                     -- what the session wanted a host for
    metadata           json not null default '{}',
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    available_at       timestamptz not null,              -- from when on a poll may hand it out
    polled_at          timestamptz,                       -- handed out and not acknowledged yet
    worker_id          text,                              -- who polled it, as it calls itself
    acknowledged_at    timestamptz,
    started_at         timestamptz,
    heartbeat_at       timestamptz,                       -- the value a holder must give back
    heartbeat_before   timestamptz,
    heartbeat_by       text,                              -- the credential of the latest
    ttl_seconds        integer,
    lease_until        timestamptz,
    lapses             integer not null default 0,        -- holders lost in a row for one cause
    lapsed_for         text,                              -- that cause
    stop_requested_at  timestamptz,
    stopped_at         timestamptz,
    reason             text                               -- why it was stopped or queued again
) with (fillfactor = 70);
create unique index work_live on work (session_id) where state <> 'stopped';
create index work_queue on work (environment_id, created_at, id) where state = 'queued';
create index work_leases on work (lease_until) where state in ('starting', 'active', 'stopping');
create index work_page on work (workspace_id, environment_id, created_at, id);
create index work_session on work (session_id, created_at, id);

-- What a poll gives a worker for one session. Several per item, since it may be handed out again.
create table work_tokens (
    hash            text collate "C" primary key,         -- sha-256 of the token, hex
    workspace_id    text collate "C" not null references workspaces,
    work_id         text collate "C" not null,
    environment_id  text collate "C" not null,
    session_id      text collate "C" not null,
    created_at      timestamptz not null,
    until           timestamptz not null
);
create index work_tokens_work on work_tokens (work_id);
create index work_tokens_until on work_tokens (until);

create table environment_keys (
    id              text collate "C" primary key,
    workspace_id    text collate "C" not null references workspaces,
    environment_id  text collate "C" not null,
    name            text not null,
    hash            text collate "C" not null unique,     -- sha-256 of the key, hex
    prefix          text not null,                        -- what may be shown of it
    created_at      timestamptz not null default now(),
    last_used_at    timestamptz,
    revoked_at      timestamptz
);
create index environment_keys_environment on environment_keys (environment_id, created_at, id);

-- Workers that polled lately.
create table work_pollers (
    environment_id  text collate "C" not null,
    worker_id       text not null,
    workspace_id    text collate "C" not null references workspaces,
    seen_at         timestamptz not null,
    primary key (environment_id, worker_id)
);
