-- What was handed over from a session's /mnt/session/outputs: by its path, as it was when it was last read.

create table outputs (
    session_id    text collate "C" not null references sessions on delete cascade,
    path          text collate "C" not null,
    stamp         text not null,                         -- tells whether it has to be read again
    sha256        text collate "C" not null,
    file_id       text collate "C" references files on delete set null,  -- null: a client deleted it
    primary key (session_id, path)
);
create index outputs_file on outputs (file_id) where file_id is not null;
