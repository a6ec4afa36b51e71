"""The schema as the database itself tells it, without what differs between runs.

`python -m tests.migrations.dump` writes the dump that `test_schema` compares with: do that after a
new migration and read the difference before committing it.
"""

import re
import subprocess
from pathlib import Path

from agentstead.store import binaries
from tests.support import prepared
from tests.support.postgres import serving

FILE = Path(__file__).parent / "schema.sql"


def dumped(url: str) -> str:
    """The schema of a database as SQL."""
    program = binaries.programs(binaries.installed()) / "pg_dump"
    made = subprocess.run(
        [program, "--schema-only", "--no-owner", "--no-privileges", "--dbname", url],
        capture_output=True,
        text=True,
        check=True,
    )
    noise = ("--", "\\", "SET ", "SELECT ")
    lines = [line for line in made.stdout.splitlines() if not line.startswith(noise)]
    text = re.sub(r"\n{2,}", "\n\n", "\n".join(lines)).strip()
    return f"{text}\n"


def main() -> None:
    """Write the file."""
    with prepared.place(), serving() as server:
        FILE.write_text(dumped(server.create()))


if __name__ == "__main__":
    main()
