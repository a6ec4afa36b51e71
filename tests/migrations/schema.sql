CREATE TABLE public.agent_versions (
    agent_id text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    body json NOT NULL,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.agents (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    version integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
);

CREATE TABLE public.api_keys (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    prefix text NOT NULL,
    scopes json DEFAULT '[]'::json NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone
);

CREATE TABLE public.audit (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    target_type text NOT NULL,
    target_id text NOT NULL COLLATE pg_catalog."C",
    source text,
    decision text,
    rule text,
    detail json DEFAULT '{}'::json NOT NULL,
    txid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    chain_seq bigint,
    prev_hash bytea,
    hash bytea,
    signature bytea
);

CREATE TABLE public.blobs (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    size_bytes bigint NOT NULL,
    sha256 text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.budget_reservations (
    budget_id text NOT NULL COLLATE pg_catalog."C",
    request_id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    starts_at timestamp with time zone NOT NULL,
    picodollars numeric NOT NULL,
    tokens bigint NOT NULL,
    settled boolean DEFAULT false NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE public.budget_waits (
    thread_id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    budget_id text NOT NULL COLLATE pg_catalog."C",
    request_id text NOT NULL COLLATE pg_catalog."C",
    final boolean NOT NULL,
    picodollars numeric,
    tokens bigint NOT NULL,
    model text NOT NULL,
    until timestamp with time zone,
    at timestamp with time zone NOT NULL
);

CREATE TABLE public.budgets (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    scope text NOT NULL,
    agent_id text COLLATE pg_catalog."C",
    period text NOT NULL,
    max_picodollars numeric,
    max_tokens bigint,
    starts_at timestamp with time zone NOT NULL,
    picodollars numeric DEFAULT 0 NOT NULL,
    tokens bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
)
WITH (fillfactor='50');

CREATE TABLE public.call_starts (
    call_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    fence bigint NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.checkpoints (
    session_id text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    blob_id text NOT NULL COLLATE pg_catalog."C",
    files integer NOT NULL,
    content_bytes bigint NOT NULL,
    left_out text,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.connector_rates (
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    free_at timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.connectors (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    version integer DEFAULT 1 NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    description text,
    config json NOT NULL,
    sealed json NOT NULL,
    permissions json NOT NULL,
    rate_limit json,
    session_rate_limit json,
    timeout_seconds double precision NOT NULL,
    retries_max integer NOT NULL,
    metadata json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
);

CREATE TABLE public.environment_keys (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    environment_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    hash text NOT NULL COLLATE pg_catalog."C",
    prefix text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone
);

CREATE TABLE public.environments (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    description text,
    config json NOT NULL,
    metadata json DEFAULT '{}'::json NOT NULL,
    scope text DEFAULT 'organization'::text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone,
    agentstead json
);

CREATE TABLE public.events (
    session_id text NOT NULL COLLATE pg_catalog."C",
    seq bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    thread_id text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    primary_view boolean NOT NULL,
    at timestamp with time zone NOT NULL,
    fence bigint NOT NULL,
    payload json NOT NULL,
    private json,
    arrived bigint
);

CREATE TABLE public.files (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    blob_id text COLLATE pg_catalog."C",
    filename text NOT NULL,
    mime_type text NOT NULL,
    size_bytes bigint NOT NULL,
    downloadable boolean NOT NULL,
    session_id text COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone
);

CREATE TABLE public.inbox (
    arrived bigint NOT NULL,
    session_id text NOT NULL COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    thread_id text COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone NOT NULL,
    payload json NOT NULL,
    private json
);

ALTER TABLE public.inbox ALTER COLUMN arrived ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.inbox_arrived_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.outputs (
    session_id text NOT NULL COLLATE pg_catalog."C",
    path text NOT NULL COLLATE pg_catalog."C",
    stamp text NOT NULL,
    sha256 text NOT NULL COLLATE pg_catalog."C",
    file_id text COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.placeholders (
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    placeholder text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE public.sandboxes (
    session_id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    version text NOT NULL COLLATE pg_catalog."C",
    trouble text,
    trouble_at timestamp with time zone,
    restored text,
    restored_at timestamp with time zone,
    host text
);

CREATE TABLE public.schema_migrations (
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL,
    compatible boolean DEFAULT false NOT NULL
);

CREATE TABLE public.session_repositories (
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    resource_id text NOT NULL COLLATE pg_catalog."C",
    sealed text,
    skills json,
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.session_skills (
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    place integer NOT NULL,
    version_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    description text NOT NULL,
    blob_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL
);

CREATE TABLE public.sessions (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    primary_thread_id text NOT NULL COLLATE pg_catalog."C",
    agent_id text NOT NULL COLLATE pg_catalog."C",
    agent_version integer NOT NULL,
    agent json NOT NULL,
    environment_id text NOT NULL COLLATE pg_catalog."C",
    environment json NOT NULL,
    title text,
    metadata json DEFAULT '{}'::json NOT NULL,
    resources json DEFAULT '[]'::json NOT NULL,
    vault_ids json DEFAULT '[]'::json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone,
    terminated_at timestamp with time zone,
    status text NOT NULL,
    stop_reason json,
    asks json DEFAULT '[]'::json NOT NULL,
    usage json DEFAULT '{}'::json NOT NULL,
    stats json DEFAULT '{}'::json NOT NULL,
    active_since timestamp with time zone,
    head_seq bigint DEFAULT 0 NOT NULL,
    last_event_at timestamp with time zone,
    wake_at timestamp with time zone,
    fence bigint DEFAULT 0 NOT NULL,
    lease_owner text COLLATE pg_catalog."C",
    lease_until timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    batch_first text COLLATE pg_catalog."C",
    batch_arrived bigint,
    batch_seen text[] DEFAULT '{}'::text[] NOT NULL,
    batch_ended_seq bigint,
    batch_ended_at timestamp with time zone,
    budget json,
    list_cost numeric,
    priority smallint DEFAULT 0 NOT NULL,
    stopped_by text COLLATE pg_catalog."C"
)
WITH (fillfactor='60');

CREATE TABLE public.skill_versions (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    skill_id text NOT NULL COLLATE pg_catalog."C",
    description text NOT NULL,
    number bigint NOT NULL,
    blob_id text NOT NULL COLLATE pg_catalog."C",
    size_bytes bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.skills (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    display_name text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);

CREATE TABLE public.stops (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    agent_id text COLLATE pg_catalog."C",
    session_id text COLLATE pg_catalog."C",
    metadata json,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    sessions integer DEFAULT 0 NOT NULL,
    interrupted integer DEFAULT 0 NOT NULL,
    lifted_at timestamp with time zone,
    lifted_by text
);

CREATE TABLE public.threads (
    id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    parent_thread_id text COLLATE pg_catalog."C",
    agent json,
    status text NOT NULL,
    usage json,
    stats json,
    workflow_run_id text COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
)
WITH (fillfactor='70');

CREATE TABLE public.usage_ledger (
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    at timestamp with time zone NOT NULL,
    agent_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    model text NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_creation_tokens bigint NOT NULL,
    picodollars numeric
);

CREATE TABLE public.vault_credentials (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    vault_id text NOT NULL COLLATE pg_catalog."C",
    display_name text,
    metadata json DEFAULT '{}'::json NOT NULL,
    kind text NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    auth json NOT NULL,
    sealed json DEFAULT '{}'::json NOT NULL,
    refreshing_until timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
);

CREATE TABLE public.vaults (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    display_name text NOT NULL,
    metadata json DEFAULT '{}'::json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    archived_at timestamp with time zone
);

CREATE TABLE public.work (
    id text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    environment_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL,
    cause text NOT NULL,
    metadata json DEFAULT '{}'::json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    available_at timestamp with time zone NOT NULL,
    polled_at timestamp with time zone,
    worker_id text,
    acknowledged_at timestamp with time zone,
    started_at timestamp with time zone,
    heartbeat_at timestamp with time zone,
    heartbeat_before timestamp with time zone,
    heartbeat_by text,
    ttl_seconds integer,
    lease_until timestamp with time zone,
    lapses integer DEFAULT 0 NOT NULL,
    lapsed_for text,
    stop_requested_at timestamp with time zone,
    stopped_at timestamp with time zone,
    reason text
)
WITH (fillfactor='70');

CREATE TABLE public.work_pollers (
    environment_id text NOT NULL COLLATE pg_catalog."C",
    worker_id text NOT NULL,
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    seen_at timestamp with time zone NOT NULL
);

CREATE TABLE public.work_tokens (
    hash text NOT NULL COLLATE pg_catalog."C",
    workspace_id text NOT NULL COLLATE pg_catalog."C",
    work_id text NOT NULL COLLATE pg_catalog."C",
    environment_id text NOT NULL COLLATE pg_catalog."C",
    session_id text NOT NULL COLLATE pg_catalog."C",
    created_at timestamp with time zone NOT NULL,
    until timestamp with time zone NOT NULL
);

CREATE TABLE public.workers (
    owner text NOT NULL COLLATE pg_catalog."C",
    number integer NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    sessions_max integer
);

ALTER TABLE public.workers ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.workers_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.workspaces (
    id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.agent_versions
    ADD CONSTRAINT agent_versions_pkey PRIMARY KEY (agent_id, version);

ALTER TABLE ONLY public.agents
    ADD CONSTRAINT agents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_chain_seq_key UNIQUE (chain_seq);

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.blobs
    ADD CONSTRAINT blobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT budget_reservations_pkey PRIMARY KEY (budget_id, request_id);

ALTER TABLE ONLY public.budget_waits
    ADD CONSTRAINT budget_waits_pkey PRIMARY KEY (thread_id);

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.call_starts
    ADD CONSTRAINT call_starts_pkey PRIMARY KEY (call_id);

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (session_id, number);

ALTER TABLE ONLY public.connector_rates
    ADD CONSTRAINT connector_rates_pkey PRIMARY KEY (workspace_id, key);

ALTER TABLE ONLY public.connectors
    ADD CONSTRAINT connectors_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.environment_keys
    ADD CONSTRAINT environment_keys_hash_key UNIQUE (hash);

ALTER TABLE ONLY public.environment_keys
    ADD CONSTRAINT environment_keys_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.environments
    ADD CONSTRAINT environments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_id_key UNIQUE (id);

ALTER TABLE ONLY public.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (session_id, seq);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_id_key UNIQUE (id);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (arrived);

ALTER TABLE ONLY public.outputs
    ADD CONSTRAINT outputs_pkey PRIMARY KEY (session_id, path);

ALTER TABLE ONLY public.placeholders
    ADD CONSTRAINT placeholders_pkey PRIMARY KEY (session_id, name);

ALTER TABLE ONLY public.sandboxes
    ADD CONSTRAINT sandboxes_pkey PRIMARY KEY (session_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (number);

ALTER TABLE ONLY public.session_repositories
    ADD CONSTRAINT session_repositories_pkey PRIMARY KEY (session_id, resource_id);

ALTER TABLE ONLY public.session_skills
    ADD CONSTRAINT session_skills_pkey PRIMARY KEY (session_id, place);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.skill_versions
    ADD CONSTRAINT skill_versions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.skill_versions
    ADD CONSTRAINT skill_versions_skill_id_number_key UNIQUE (skill_id, number);

ALTER TABLE ONLY public.skills
    ADD CONSTRAINT skills_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.stops
    ADD CONSTRAINT stops_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.threads
    ADD CONSTRAINT threads_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.vault_credentials
    ADD CONSTRAINT vault_credentials_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.vaults
    ADD CONSTRAINT vaults_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.work
    ADD CONSTRAINT work_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.work_pollers
    ADD CONSTRAINT work_pollers_pkey PRIMARY KEY (environment_id, worker_id);

ALTER TABLE ONLY public.work_tokens
    ADD CONSTRAINT work_tokens_pkey PRIMARY KEY (hash);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_number_key UNIQUE (number);

ALTER TABLE ONLY public.workers
    ADD CONSTRAINT workers_pkey PRIMARY KEY (owner);

ALTER TABLE ONLY public.workspaces
    ADD CONSTRAINT workspaces_pkey PRIMARY KEY (id);

CREATE INDEX agents_page ON public.agents USING btree (workspace_id, created_at, id);

CREATE INDEX audit_target ON public.audit USING btree (workspace_id, target_type, target_id, at);

CREATE INDEX audit_unchained ON public.audit USING btree (txid, id) WHERE (chain_seq IS NULL);

CREATE INDEX blobs_age ON public.blobs USING btree (created_at);

CREATE INDEX budget_reservations_request ON public.budget_reservations USING btree (request_id);

CREATE INDEX budget_waits_budget ON public.budget_waits USING btree (budget_id);

CREATE INDEX budget_waits_session ON public.budget_waits USING btree (session_id);

CREATE INDEX budgets_live ON public.budgets USING btree (workspace_id) WHERE (archived_at IS NULL);

CREATE INDEX budgets_page ON public.budgets USING btree (workspace_id, created_at, id);

CREATE INDEX call_starts_session ON public.call_starts USING btree (session_id);

CREATE INDEX checkpoints_blob ON public.checkpoints USING btree (blob_id);

CREATE INDEX connectors_list ON public.connectors USING btree (workspace_id, created_at, id);

CREATE UNIQUE INDEX connectors_name ON public.connectors USING btree (workspace_id, name) WHERE (archived_at IS NULL);

CREATE INDEX environment_keys_environment ON public.environment_keys USING btree (environment_id, created_at, id);

CREATE INDEX environments_page ON public.environments USING btree (workspace_id, created_at, id);

CREATE INDEX files_blob ON public.files USING btree (blob_id);

CREATE INDEX files_expiry ON public.files USING btree (expires_at) WHERE (expires_at IS NOT NULL);

CREATE INDEX files_page ON public.files USING btree (workspace_id, created_at, id);

CREATE INDEX files_session ON public.files USING btree (session_id, created_at, id) WHERE (session_id IS NOT NULL);

CREATE INDEX inbox_session ON public.inbox USING btree (session_id, arrived);

CREATE INDEX outputs_file ON public.outputs USING btree (file_id) WHERE (file_id IS NOT NULL);

CREATE INDEX session_skills_blob ON public.session_skills USING btree (blob_id);

CREATE INDEX sessions_agent ON public.sessions USING btree (workspace_id, agent_id, created_at, id);

CREATE INDEX sessions_held ON public.sessions USING btree (workspace_id) WHERE (lease_owner IS NOT NULL);

CREATE INDEX sessions_page ON public.sessions USING btree (workspace_id, created_at, id);

CREATE INDEX sessions_status ON public.sessions USING btree (status) WHERE (archived_at IS NULL);

CREATE INDEX sessions_stopped ON public.sessions USING btree (stopped_by) WHERE (stopped_by IS NOT NULL);

CREATE INDEX sessions_waiting ON public.sessions USING btree (workspace_id, (((EXTRACT(epoch FROM (wake_at - '2000-01-01 00:00:00+00'::timestamp with time zone)))::double precision - ((60 * priority))::double precision))) WHERE ((wake_at IS NOT NULL) AND (lease_owner IS NULL));

CREATE INDEX skill_versions_blob ON public.skill_versions USING btree (blob_id);

CREATE INDEX skill_versions_page ON public.skill_versions USING btree (skill_id, created_at, id);

CREATE INDEX skills_page ON public.skills USING btree (workspace_id, created_at, id);

CREATE INDEX stops_page ON public.stops USING btree (workspace_id, created_at, id);

CREATE INDEX threads_session ON public.threads USING btree (session_id, created_at, id);

CREATE INDEX usage_ledger_time ON public.usage_ledger USING btree (workspace_id, at);

CREATE INDEX vault_credentials_page ON public.vault_credentials USING btree (vault_id, created_at, id);

CREATE UNIQUE INDEX vault_credentials_place ON public.vault_credentials USING btree (vault_id, ((kind = 'environment_variable'::text)), key) WHERE (archived_at IS NULL);

CREATE INDEX vaults_page ON public.vaults USING btree (workspace_id, created_at, id);

CREATE INDEX work_leases ON public.work USING btree (lease_until) WHERE (state = ANY (ARRAY['starting'::text, 'active'::text, 'stopping'::text]));

CREATE UNIQUE INDEX work_live ON public.work USING btree (session_id) WHERE (state <> 'stopped'::text);

CREATE INDEX work_page ON public.work USING btree (workspace_id, environment_id, created_at, id);

CREATE INDEX work_queue ON public.work USING btree (environment_id, created_at, id) WHERE (state = 'queued'::text);

CREATE INDEX work_session ON public.work USING btree (session_id, created_at, id);

CREATE INDEX work_tokens_until ON public.work_tokens USING btree (until);

CREATE INDEX work_tokens_work ON public.work_tokens USING btree (work_id);

ALTER TABLE ONLY public.agent_versions
    ADD CONSTRAINT agent_versions_agent_id_fkey FOREIGN KEY (agent_id) REFERENCES public.agents(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.agent_versions
    ADD CONSTRAINT agent_versions_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.agents
    ADD CONSTRAINT agents_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.api_keys
    ADD CONSTRAINT api_keys_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.blobs
    ADD CONSTRAINT blobs_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.budget_reservations
    ADD CONSTRAINT budget_reservations_budget_id_fkey FOREIGN KEY (budget_id) REFERENCES public.budgets(id);

ALTER TABLE ONLY public.budget_waits
    ADD CONSTRAINT budget_waits_budget_id_fkey FOREIGN KEY (budget_id) REFERENCES public.budgets(id);

ALTER TABLE ONLY public.budget_waits
    ADD CONSTRAINT budget_waits_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.budget_waits
    ADD CONSTRAINT budget_waits_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.budgets
    ADD CONSTRAINT budgets_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_blob_id_fkey FOREIGN KEY (blob_id) REFERENCES public.blobs(id);

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sandboxes(session_id) ON DELETE CASCADE;

ALTER TABLE ONLY public.checkpoints
    ADD CONSTRAINT checkpoints_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.connector_rates
    ADD CONSTRAINT connector_rates_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.connectors
    ADD CONSTRAINT connectors_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.environment_keys
    ADD CONSTRAINT environment_keys_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.environments
    ADD CONSTRAINT environments_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_blob_id_fkey FOREIGN KEY (blob_id) REFERENCES public.blobs(id);

ALTER TABLE ONLY public.files
    ADD CONSTRAINT files_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.outputs
    ADD CONSTRAINT outputs_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.files(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.outputs
    ADD CONSTRAINT outputs_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.outputs
    ADD CONSTRAINT outputs_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.placeholders
    ADD CONSTRAINT placeholders_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.placeholders
    ADD CONSTRAINT placeholders_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.sandboxes
    ADD CONSTRAINT sandboxes_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.sandboxes
    ADD CONSTRAINT sandboxes_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.session_repositories
    ADD CONSTRAINT session_repositories_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.session_skills
    ADD CONSTRAINT session_skills_blob_id_fkey FOREIGN KEY (blob_id) REFERENCES public.blobs(id);

ALTER TABLE ONLY public.session_skills
    ADD CONSTRAINT session_skills_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.skill_versions
    ADD CONSTRAINT skill_versions_blob_id_fkey FOREIGN KEY (blob_id) REFERENCES public.blobs(id);

ALTER TABLE ONLY public.skill_versions
    ADD CONSTRAINT skill_versions_skill_id_fkey FOREIGN KEY (skill_id) REFERENCES public.skills(id);

ALTER TABLE ONLY public.skill_versions
    ADD CONSTRAINT skill_versions_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.skills
    ADD CONSTRAINT skills_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.stops
    ADD CONSTRAINT stops_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.vault_credentials
    ADD CONSTRAINT vault_credentials_vault_id_fkey FOREIGN KEY (vault_id) REFERENCES public.vaults(id);

ALTER TABLE ONLY public.vault_credentials
    ADD CONSTRAINT vault_credentials_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.vaults
    ADD CONSTRAINT vaults_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.work_pollers
    ADD CONSTRAINT work_pollers_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.work_tokens
    ADD CONSTRAINT work_tokens_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);

ALTER TABLE ONLY public.work
    ADD CONSTRAINT work_workspace_id_fkey FOREIGN KEY (workspace_id) REFERENCES public.workspaces(id);
