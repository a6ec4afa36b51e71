-- Rows as builds with migration 0001 wrote them, at least one per table it made.
insert into api_keys (id, workspace_id, name, hash, prefix, scopes, created_at, revoked_at) values
    ('apikey_1', 'wrkspc_01000000000000000default', 'ci', 'aa11', 'sk-a', '["*"]', '2026-01-02 03:04:05.678901+00', null),
    ('apikey_2', 'wrkspc_01000000000000000default', 'old', 'bb22', 'sk-b', '[]', '2026-01-02 03:04:06+00', '2026-02-01 00:00:00+00');
insert into audit (id, workspace_id, at, actor, action, target_type, target_id, source, decision, rule, detail) values
    ('audit_1', 'wrkspc_01000000000000000default', '2026-01-02 03:04:05+00', 'apikey_1', 'session.create', 'session', 'sesn_1', '10.0.0.1', 'allow', 'policy', '{"b": 1,  "a": 2}');
insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent, environment_id, environment, title, metadata, created_at, updated_at, status, stop_reason, usage, head_seq, wake_at, fence, lease_owner, lease_until, attempts, batch_seen) values
    ('sesn_1', 'wrkspc_01000000000000000default', 'sthr_1', 'agent_1', 2, '{"model":"m",  "é":"\u0000"}', 'env_1', '{}', 'first', '{"k":"v"}', '2026-01-02 03:04:05+00', '2026-01-02 03:05:05+00', 'idle', '{"type":"end_turn"}', '{"input_tokens":3}', 2, null, 7, null, null, 0, '{""}'),
    ('sesn_2', 'wrkspc_01000000000000000default', 'sthr_2', 'agent_1', 1, '{}', 'env_1', '{}', null, '{}', '2026-01-02 03:04:07+00', '2026-01-02 03:04:07+00', 'running', null, '{}', 0, '2026-01-02 03:04:08+00', 3, 'worker_1', '2026-01-02 03:04:30+00', 1, '{}');
insert into threads (id, session_id, workspace_id, parent_thread_id, agent, status, created_at, updated_at) values
    ('sthr_1', 'sesn_1', 'wrkspc_01000000000000000default', null, null, 'idle', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00'),
    ('sthr_3', 'sesn_1', 'wrkspc_01000000000000000default', 'sthr_1', '{"name":"child"}', 'idle', '2026-01-02 03:04:09+00', '2026-01-02 03:04:09+00');
insert into events (session_id, seq, id, workspace_id, thread_id, type, primary_view, at, fence, payload, private) values
    ('sesn_1', 1, 'sevt_1', 'wrkspc_01000000000000000default', 'sthr_1', 'user.message', true, '2026-01-02 03:04:05.000001+00', 0, '{"z":1, "a":  [1.50, "\u0000 \ud83d\ude00"]}', null),
    ('sesn_1', 2, 'sevt_2', 'wrkspc_01000000000000000default', 'sthr_1', 'session.status_idle', true, '2026-01-02 03:04:06+00', 7, '{}', '{"p":1}');
insert into inbox (session_id, id, workspace_id, thread_id, type, at, payload) values
    ('sesn_2', 'sevt_3', 'wrkspc_01000000000000000default', 'sthr_2', 'user.message', '2026-01-02 03:04:07+00', '{"b":1,"a":2}');
insert into workers (owner, host, pid, started_at) values ('worker_1', 'here', 42, '2026-01-02 03:00:00+00');
