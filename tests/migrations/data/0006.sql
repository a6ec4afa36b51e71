-- Rows as builds with migration 0006 wrote them, at least one per table it made.
insert into blobs (id, workspace_id, size_bytes, sha256, created_at) values
    ('blob_skill', 'wrkspc_01000000000000000default', 22, 'ab', '2026-01-02 03:04:05+00');
insert into skills (id, workspace_id, name, display_name, created_at, updated_at) values
    ('skill_1', 'wrkspc_01000000000000000default', 'report-maker', 'Reports', '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00');
insert into skill_versions (id, workspace_id, skill_id, description, number, blob_id, size_bytes, created_at, updated_at) values
    ('skver_1', 'wrkspc_01000000000000000default', 'skill_1', 'Makes reports.', 1767323045000000, 'blob_skill', 22, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00');
