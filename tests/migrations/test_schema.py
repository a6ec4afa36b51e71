"""What the migrations make is what was reviewed."""

from tests.migrations.dump import FILE, dumped

HINT = "the schema changed: run `python -m tests.migrations.dump`, read the difference, commit it"


def test_the_files_make_the_committed_schema(database_url: str) -> None:
    assert dumped(database_url) == FILE.read_text(), HINT
