-- Rows as builds with migration 0008 wrote them, at least one per table it made.
insert into work (id, workspace_id, environment_id, session_id, state, cause, metadata, created_at, updated_at, available_at,
                  polled_at, worker_id, acknowledged_at, started_at, heartbeat_at, ttl_seconds, lease_until, lapses, reason) values
    ('work_1', 'wrkspc_01000000000000000default', 'env_1', 'sesn_1', 'active', 'input:sevt_1', '{"k":"v"}', '2026-01-02 03:04:05+00', '2026-01-02 03:05:05+00', '2026-01-02 03:04:05+00',
     null, 'host-1', '2026-01-02 03:04:06+00', '2026-01-02 03:04:07+00', '2026-01-02 03:04:07.123456+00', 300, '2026-01-02 03:09:07+00', 1, 'Worker host-0 took it and never sent a heartbeat.'),
    ('work_2', 'wrkspc_01000000000000000default', 'env_1', 'sesn_2', 'queued', 'calls:0123', '{}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00',
     null, null, null, null, null, null, null, 0, null);
insert into work_tokens (hash, workspace_id, work_id, environment_id, session_id, created_at, until) values
    ('aa01', 'wrkspc_01000000000000000default', 'work_1', 'env_1', 'sesn_1', '2026-01-02 03:04:06+00', '2026-01-02 03:19:07+00');
insert into environment_keys (id, workspace_id, environment_id, name, hash, prefix, created_at, last_used_at, revoked_at) values
    ('envkey_1', 'wrkspc_01000000000000000default', 'env_1', 'rack 1', 'bb01', 'sk-ant-oat01-abcdef', '2026-01-02 03:04:05+00', '2026-01-02 03:04:06+00', null),
    ('envkey_2', 'wrkspc_01000000000000000default', 'env_1', 'old', 'bb02', 'sk-ant-oat01-ghijkl', '2026-01-02 03:04:05+00', null, '2026-01-02 03:05:05+00');
insert into work_pollers (environment_id, worker_id, workspace_id, seen_at) values
    ('env_1', 'host-1', 'wrkspc_01000000000000000default', '2026-01-02 03:04:06+00');
