-- Rows as builds with migration 0004 wrote them, at least one per table it made.
insert into blobs (id, workspace_id, size_bytes, sha256, created_at) values
    ('blob_1', 'wrkspc_01000000000000000default', 5, '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824', '2026-01-02 03:04:05+00');
insert into files (id, workspace_id, blob_id, filename, mime_type, size_bytes, downloadable, session_id, created_at, updated_at, expires_at) values
    ('file_1', 'wrkspc_01000000000000000default', 'blob_1', 'é a.txt', 'text/plain', 5, false, null, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', '2026-01-03 03:04:05+00'),
    ('file_2', 'wrkspc_01000000000000000default', 'blob_1', 'é a.txt', 'text/plain', 5, false, 'sesn_1', '2026-01-02 03:05:05+00', '2026-01-02 03:05:05+00', null),
    ('file_3', 'wrkspc_01000000000000000default', null, 'b.bin', 'application/octet-stream', 7, false, null, '2026-01-02 03:04:05+00', '2026-01-02 03:04:05+00', '2026-01-02 04:04:05+00');
