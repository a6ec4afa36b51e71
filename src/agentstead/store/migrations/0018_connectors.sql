-- Declared tools, and how far their limits are used up.
create table connectors (
    id                 text collate "C" primary key,
    workspace_id       text collate "C" not null references workspaces,
    name               text collate "C" not null,
    version            integer not null default 1,
    kind               text collate "C" not null,
    description        text,
    config             json not null,
    sealed             json not null,
    permissions        json not null,
    rate_limit         json,
    session_rate_limit json,
    timeout_seconds    double precision not null,
    retries_max        integer not null,
    metadata           json not null,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    archived_at        timestamptz
);
create unique index connectors_name on connectors (workspace_id, name) where archived_at is null;
create index connectors_list on connectors (workspace_id, created_at, id);

create table connector_rates (
    workspace_id text collate "C" not null references workspaces,
    key          text collate "C" not null,
    free_at      timestamptz not null,
    primary key (workspace_id, key)
) with (fillfactor = 50);
