-- Rows as builds with migration 0018 wrote them, at least one per table it made.
insert into connectors (id, workspace_id, name, version, kind, config, sealed, permissions, rate_limit, timeout_seconds, retries_max, metadata, created_at, updated_at) values
    ('conn_1', 'wrkspc_01000000000000000default', 'customers', 2, 'api', '{"type":"api","endpoint":"https://api.example.com/customers","auth":{"type":"bearer"}}', '{"token":"v1.a.b.c"}', '{"read":true,"write":false,"delete":false}', '{"requests":10,"per_seconds":1.0}', 30, 2, '{}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00');
insert into connector_rates (workspace_id, key, free_at) values
    ('wrkspc_01000000000000000default', 'conn_1', '2026-01-02 03:04:05+00');
