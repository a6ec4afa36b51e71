-- Rows as builds with migration 0011 wrote them, at least one per table it made.
insert into sessions (id, workspace_id, primary_thread_id, agent_id, agent_version, agent, environment_id, environment, created_at, updated_at, status) values
    ('sesn_0011', 'wrkspc_01000000000000000default', 'sthr_0011', 'agent_1', 1, '{}', 'env_1', '{}', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', 'idle');
insert into outputs (session_id, path, stamp, sha256, file_id) values
    ('sesn_0011', 'a/é.txt', '1.2.3.4', '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', 'file_2'),
    ('sesn_0011', '/ff', '1.2.3.4', '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', null);
