-- Skills and their versions. A version's files are one archive in the blob store, never changed.

create table skills (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    name          text not null,
    display_name  text not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null
);
create index skills_page on skills (workspace_id, created_at, id);

create table skill_versions (
    id            text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    skill_id      text collate "C" not null references skills,
    description   text not null,
    number        bigint not null,                       -- microseconds since the epoch: older clients' name for it
    blob_id       text collate "C" not null references blobs,
    size_bytes    bigint not null,
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    unique (skill_id, number)
);
create index skill_versions_page on skill_versions (skill_id, created_at, id);
create index skill_versions_blob on skill_versions (blob_id);
