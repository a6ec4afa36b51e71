-- Budgets above sessions: what the sessions of a workspace, or of one agent, may use together; what is
-- reserved of it by requests that go on; who waits for room; and a ledger of what was used.

create table budgets (
    id               text collate "C" primary key,
    workspace_id     text collate "C" not null references workspaces,
    name             text not null,
    scope            text not null,                      -- workspace | agent
    agent_id         text collate "C",                   -- with scope agent: whose
    period           text not null,                      -- total | day | month, in UTC
    max_picodollars  numeric,                            -- null: no limit in money
    max_tokens       bigint,                             -- null: no limit in tokens
    starts_at        timestamptz not null,               -- of the period that is counted now
    picodollars      numeric not null default 0,         -- spent in it, without what is settled and not added yet
    tokens           bigint not null default 0,
    created_at       timestamptz not null,
    updated_at       timestamptz not null,
    archived_at      timestamptz
) with (fillfactor = 50);
create index budgets_page on budgets (workspace_id, created_at, id);
create index budgets_live on budgets (workspace_id) where archived_at is null;

-- A request that goes on holds an upper bound here; once settled, what it has really used, until that is
-- added to its budget. Appends touch only these rows, never the budget's own, for which many would wait.
create table budget_reservations (
    budget_id     text collate "C" not null references budgets,
    request_id    text collate "C" not null,             -- of the start of the model request; judges' with ':judge'
    workspace_id  text collate "C" not null,
    session_id    text collate "C" not null,             -- may be deleted before
    starts_at     timestamptz not null,                  -- of the budget's period that pays for it
    picodollars   numeric not null,
    tokens        bigint not null,
    settled       boolean not null default false,
    primary key (budget_id, request_id)
) with (fillfactor = 70);
create index budget_reservations_request on budget_reservations (request_id);

-- Threads whose next request found no room.
create table budget_waits (
    thread_id     text collate "C" primary key,
    workspace_id  text collate "C" not null references workspaces,
    session_id    text collate "C" not null references sessions on delete cascade,
    budget_id     text collate "C" not null references budgets,
    request_id    text collate "C" not null,
    final         boolean not null,                      -- false: reservations of others stand in the way
    picodollars   numeric,                               -- the upper bound that does not fit; null: no price
    tokens        bigint not null,
    model         text not null,
    until         timestamptz,                           -- when the budget's next period begins
    at            timestamptz not null
);
create index budget_waits_budget on budget_waits (budget_id);
create index budget_waits_session on budget_waits (session_id);

-- What every model request has used. Outlives its session.
create table usage_ledger (
    workspace_id           text collate "C" not null,
    at                     timestamptz not null,
    agent_id               text collate "C" not null,
    session_id             text collate "C" not null,
    model                  text not null,
    input_tokens           bigint not null,
    output_tokens          bigint not null,
    cache_read_tokens      bigint not null,
    cache_creation_tokens  bigint not null,
    picodollars            numeric                       -- list cost; null: it has no price
);
create index usage_ledger_time on usage_ledger (workspace_id, at);
