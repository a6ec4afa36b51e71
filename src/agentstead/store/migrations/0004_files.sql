-- Uploaded files, sessions' copies of them, and what sessions hand over. Bodies lie outside, in the
-- blob store, under the id of their row in blobs; whatever refers to a body does so by foreign key.

create table blobs (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    size_bytes    bigint not null,
    sha256        text collate "C" not null,
    created_at    timestamptz not null
);
create index blobs_age on blobs (created_at);

create table files (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    blob_id       text collate "C" references blobs,     -- null: expired
    filename      text not null,
    mime_type     text not null,
    size_bytes    bigint not null,
    downloadable  boolean not null,
    session_id    text collate "C",                      -- copies and outputs; written before their session
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    expires_at    timestamptz
);
create index files_page on files (workspace_id, created_at, id);
create index files_session on files (session_id, created_at, id) where session_id is not null;
create index files_blob on files (blob_id);
create index files_expiry on files (expires_at) where expires_at is not null;
