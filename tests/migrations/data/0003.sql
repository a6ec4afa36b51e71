-- Rows as builds with migration 0003 wrote them, at least one per table it made.
insert into vaults (id, workspace_id, display_name, metadata, created_at, updated_at, archived_at) values
    ('vlt_1', 'wrkspc_01000000000000000default', 'team', '{"k":"v"}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', null),
    ('vlt_2', 'wrkspc_01000000000000000default', 'old', '{}', '2026-01-02 03:04:05+00', '2026-01-02 03:06:05+00', '2026-01-02 03:06:05+00');
insert into vault_credentials (id, workspace_id, vault_id, kind, key, auth, sealed, refreshing_until, created_at, updated_at, archived_at) values
    ('vcrd_1', 'wrkspc_01000000000000000default', 'vlt_1', 'static_bearer', 'https://mcp.example.com', '{"type":"static_bearer","mcp_server_url":"https://mcp.example.com"}', '{"token":"v1.ab12cd34.AAAA.AAAA"}', null, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', null),
    ('vcrd_2', 'wrkspc_01000000000000000default', 'vlt_2', 'environment_variable', 'API_TOKEN', '{"type":"environment_variable","secret_name":"API_TOKEN","networking":{"type":"unrestricted"},"injection_location":{"header":true,"body":true}}', '{}', null, '2026-01-02 03:04:05+00', '2026-01-02 03:06:05+00', '2026-01-02 03:06:05+00');
