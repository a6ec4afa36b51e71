-- Rows as builds with migration 0015 wrote them.
insert into session_repositories (workspace_id, session_id, resource_id, sealed, skills, created_at) values
    ('wrkspc_01000000000000000default', 'sesn_1', 'sesrsc_1', 'v1.k.w.s', '[{"name":"releasing","description":"How.","folder":"/workspace/tools/.claude/skills/releasing"}]', '2026-01-02 03:04:05+00'),
    ('wrkspc_01000000000000000default', 'sesn_1', 'sesrsc_2', null, null, '2026-01-02 03:04:05+00');
