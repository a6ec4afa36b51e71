-- Vaults and their credentials. What is secret is sealed under a key that is not in the database.

create table vaults (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    display_name  text not null,
    metadata      json not null default '{}',
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    archived_at   timestamptz
);
create index vaults_page on vaults (workspace_id, created_at, id);

create table vault_credentials (
    id                text collate "C" primary key,
    workspace_id      text collate "C" not null references workspaces,
    vault_id          text collate "C" not null references vaults,
    display_name      text,
    metadata          json not null default '{}',
    kind              text not null,                     -- static_bearer | mcp_oauth | environment_variable
    key               text collate "C" not null,         -- what it is found by: server URL or variable
    auth              json not null,                     -- what may be shown
    sealed            json not null default '{}',        -- secret's name -> sealed text; empty once archived
    refreshing_until  timestamptz,                       -- somebody gets a new access token
    created_at        timestamptz not null,
    updated_at        timestamptz not null,
    archived_at       timestamptz
);
create index vault_credentials_page on vault_credentials (vault_id, created_at, id);
create unique index vault_credentials_place
    on vault_credentials (vault_id, (kind = 'environment_variable'), key) where archived_at is null;
