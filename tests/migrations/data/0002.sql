-- Rows as builds with migration 0002 wrote them, at least one per table it made.
insert into agents (id, workspace_id, version, created_at, updated_at, archived_at) values
    ('agent_1', 'wrkspc_01000000000000000default', 2, '2026-01-02 03:04:05+00', '2026-01-02 03:05:05+00', null),
    ('agent_2', 'wrkspc_01000000000000000default', 1, '2026-01-02 03:04:05+00', '2026-01-02 03:06:05+00', '2026-01-02 03:06:05+00');
insert into agent_versions (agent_id, version, workspace_id, body, created_at) values
    ('agent_1', 1, 'wrkspc_01000000000000000default', '{"name":"a",  "system":null}', '2026-01-02 03:04:05+00'),
    ('agent_1', 2, 'wrkspc_01000000000000000default', '{"system":"é \u0000", "name":"a"}', '2026-01-02 03:05:05+00'),
    ('agent_2', 1, 'wrkspc_01000000000000000default', '{}', '2026-01-02 03:04:05+00');
insert into environments (id, workspace_id, name, description, config, metadata, created_at, updated_at) values
    ('env_1', 'wrkspc_01000000000000000default', 'box', null, '{"type":"cloud",  "networking":{}}', '{"k":"v"}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00');
