"""The database and the blob store: pool, embedded server, migrations, tables, audit."""
