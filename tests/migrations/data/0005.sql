-- Rows as builds with migration 0005 wrote them.
insert into environments (id, workspace_id, name, config, agentstead, created_at, updated_at) values
    ('env_2', 'wrkspc_01000000000000000default', 'small', '{"type":"cloud"}', '{"limits":{"memory_bytes":134217728}}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00');
