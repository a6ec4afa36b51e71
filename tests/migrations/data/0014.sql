-- Rows as builds with migration 0014 wrote them.
insert into placeholders (workspace_id, session_id, name, placeholder) values
    ('wrkspc_01000000000000000default', 'sesn_1', 'API_KEY', 'ph_0123456789abcdefghijABCDEFGHIJ');
