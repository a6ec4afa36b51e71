-- Rows as builds with migration 0022 wrote them, at least one per table it made.
insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent, environment_id, environment, created_at, updated_at, status) values
    ('sesn_budgets', 'wrkspc_01000000000000000default', 'sthr_budgets', 'agent_1', 1, '{"id":"agent_1"}', 'env_1', '{"id":"env_1"}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', 'idle');
insert into budgets (id, workspace_id, name, scope, agent_id, period, max_picodollars, max_tokens, starts_at, picodollars, tokens, created_at, updated_at) values
    ('budget_1', 'wrkspc_01000000000000000default', 'team', 'agent', 'agent_1', 'month', 1000000000000, 5000000, '2026-01-01 00:00:00+00', 30000000000, 165, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00');
insert into budget_reservations (budget_id, request_id, workspace_id, session_id, starts_at, picodollars, tokens, settled) values
    ('budget_1', 'sevt_1', 'wrkspc_01000000000000000default', 'sesn_budgets', '2026-01-01 00:00:00+00', 20000000000, 110, true);
insert into budget_waits (thread_id, workspace_id, session_id, budget_id, request_id, final, picodollars, tokens, model, until, at) values
    ('sthr_budgets', 'wrkspc_01000000000000000default', 'sesn_budgets', 'budget_1', 'sevt_2', true, 990000000000, 40000, 'claude-sonnet-5-5', '2026-02-01 00:00:00+00', '2026-01-02 03:04:05+00');
insert into usage_ledger (workspace_id, at, agent_id, session_id, model, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, picodollars) values
    ('wrkspc_01000000000000000default', '2026-01-02 03:04:05+00', 'agent_1', 'sesn_budgets', 'claude-sonnet-5-5', 50, 5, 0, 0, 10000000000);
