-- What sessions keep of their skills: written before their session, gone after it.
create table session_skills (
    workspace_id text collate "C" not null references workspaces,
    session_id   text collate "C" not null,
    place        integer not null,
    version_id   text collate "C" not null,
    name         text not null,
    description  text not null,
    blob_id      text collate "C" not null references blobs,
    created_at   timestamptz not null,
    primary key (session_id, place)
);
create index session_skills_blob on session_skills (blob_id);
