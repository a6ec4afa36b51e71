-- Rows as builds with migration 0013 wrote them.
insert into session_skills (workspace_id, session_id, place, version_id, name, description, blob_id, created_at) values
    ('wrkspc_01000000000000000default', 'sesn_1', 0, 'skver_1', 'report-maker', 'Makes reports.', 'blob_skill', '2026-01-02 03:04:05+00');
