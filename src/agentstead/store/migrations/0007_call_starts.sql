-- Calls that go out to somebody who does not remember them: their start, noted before they are made.
-- A start without a result in the log means that the call may have happened.

create table call_starts (
    call_id       text collate "C" primary key,           -- id of the tool-use event
    session_id    text collate "C" not null,
    workspace_id  text collate "C" not null,
    fence         bigint not null,
    started_at    timestamptz not null default now()
);
create index call_starts_session on call_starts (session_id);
