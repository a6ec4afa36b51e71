-- Where the files of each session's sandbox stand, and the archives of them that are kept.

create table sandboxes (
    session_id    text collate "C" primary key references sessions on delete cascade,
    workspace_id  text collate "C" not null references workspaces,
    version       text collate "C" not null,   -- what a host's files must be to be current; empty: never saved
    trouble       text,                        -- why the latest saving failed
    trouble_at    timestamptz,
    restored      text,                        -- what came of the latest restoring
    restored_at   timestamptz
);

create table checkpoints (
    session_id    text collate "C" not null references sandboxes on delete cascade,
    number        integer not null,            -- the highest is the latest
    workspace_id  text collate "C" not null references workspaces,
    blob_id       text collate "C" not null references blobs,
    files         integer not null,
    content_bytes bigint not null,
    left_out      text,                        -- what could not be taken along
    created_at    timestamptz not null,
    primary key (session_id, number)
);
create index checkpoints_blob on checkpoints (blob_id);
