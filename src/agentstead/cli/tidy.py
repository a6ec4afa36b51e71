"""`agentstead tidy`: what a platform does by itself every now and then, now; or only told."""

from typing import TYPE_CHECKING, Annotated

from typer import Option

from agentstead.cli.key import DatabaseUrl, DataDir, ask, note

if TYPE_CHECKING:
    from agentstead.app.leftovers import Leftover
    from agentstead.store.pool import Database


def tidy(
    dry_run: Annotated[bool, Option("--dry-run", help="Only say what would be deleted.")] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Delete what nobody needs any more: sandboxes of this host, checkpoints, files, bodies, skills,
    packages.

    A running server does the same by itself. One line each on standard output: what, its name, its
    bytes, and why.
    """
    from agentstead import settings
    from agentstead.app.leftovers import leftovers
    from agentstead.app.rooms import open_rooms
    from agentstead.app.tidy import tidy_now
    from agentstead.telemetry.metrics import Metrics

    chosen = settings.load(data_dir=data_dir, database_url=database_url)

    async def found(database: "Database") -> "list[Leftover]":
        async with open_rooms(chosen, database, Metrics()) as rooms:
            there = [one async for one in leftovers(rooms)]
            if not dry_run:
                await tidy_now(rooms)
            return there

    there = ask(found, data_dir, database_url)
    for one in there:
        print(f"{one.kind:<10} {one.name}  {one.size_bytes}  {one.why}")
    total = sum(one.size_bytes for one in there)
    note(
        f"{len(there)} to delete, {total} bytes"
        if dry_run
        else f"deleted: {len(there)}, {total} bytes"
    )
