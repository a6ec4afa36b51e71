-- Rows as builds with migration 0007 wrote them, at least one per table it made.
insert into call_starts (call_id, session_id, workspace_id, fence, started_at) values
    ('sevt_3', 'sesn_1', 'wrkspc_01000000000000000default', 4, '2026-01-02 03:04:05+00');
