-- Rows as builds with migration 0016 wrote them, at least one per table it made.
insert into sandboxes (session_id, workspace_id, version, trouble, trouble_at) values
    ('sesn_0011', 'wrkspc_01000000000000000default', 'blob_2', 'Its files cannot be saved.', '2026-01-02 03:04:05+00');
insert into checkpoints (session_id, number, workspace_id, blob_id, files, content_bytes, left_out, created_at) values
    ('sesn_0011', 2, 'wrkspc_01000000000000000default', 'blob_skill', 3, 4, 'workspace/x (Permission denied)', '2026-01-02 03:04:05+00');
