"""The database as one file, by PostgreSQL's own programs: `pg_dump` and `pg_restore`.

Promises: a dump is of one moment; a restore is all or nothing; a password travels in the programs'
environment, never among their arguments.
"""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agentstead.errors import Misconfigured
from agentstead.store import binaries
from agentstead.store.embedded import environment

LINES_SHOWN = 5
"""Of what a program complains about."""


async def dump(url: str, target: Path, snapshot: str) -> None:
    """Write the database to `target`, as it was at an exported snapshot; Misconfigured when that fails."""
    options = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
    await run("pg_dump", url, (*options, f"--file={target}"))


async def restore(url: str, source: Path) -> None:
    """Read a dump into an empty database; Misconfigured when that fails, and then it is empty still."""
    options = ("--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error")
    await run("pg_restore", url, (*options, str(source)))


async def run(name: str, url: str, options: Sequence[str]) -> None:
    """Run a program on a database to its end."""
    where, secret = address(url)
    process = await asyncio.create_subprocess_exec(
        program(name),
        f"--dbname={where}",
        "--no-password",
        *options,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**environment(), **secret},
    )
    try:
        _, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        lines = complaints.decode("utf-8", "replace").strip().splitlines()
        raise Misconfigured("\n".join([f"{name} failed.", *lines[:LINES_SHOWN]]))


def address(url: str) -> tuple[str, Mapping[str, str]]:
    """Where the database is, and apart from it the password, as a variable."""
    parts = conninfo_to_dict(url)
    password = parts.pop("password", None)
    where = make_conninfo(
        **{name: str(value) for name, value in parts.items() if value is not None}
    )
    return where, {} if password is None else {"PGPASSWORD": str(password)}


def program(name: str) -> str:
    """The one that came with the embedded database, else the system's."""
    try:
        own = binaries.programs(binaries.installed()) / name
        if own.exists():
            return str(own)
    except Misconfigured:
        pass  # no embedded database on this machine
    found = shutil.which(name)
    if found is None:
        raise Misconfigured(f"The program {name} is missing; install PostgreSQL's client programs.")
    return found
