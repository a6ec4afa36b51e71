-- The repositories of sessions: their tokens, and what was found in them. Written before their session,
-- gone after it.
create table session_repositories (
    workspace_id text collate "C" not null references workspaces,
    session_id   text collate "C" not null,
    resource_id  text collate "C" not null,
    sealed       text,                               -- the token; null: none was given
    skills       json,                               -- name, description, folder; null: never checked out
    created_at   timestamptz not null,
    primary key (session_id, resource_id)
);
