-- What stands for a credential in the sandbox of a session, instead of its secret: made when the session
-- first sees the credential's variable, and kept, since programs may have written it into files.
create table placeholders (
    workspace_id text collate "C" not null references workspaces,
    session_id   text collate "C" not null references sessions on delete cascade,
    name         text not null,
    placeholder  text collate "C" not null,
    primary key (session_id, name)
);
