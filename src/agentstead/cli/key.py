"""`agentstead key create|list|revoke`: the API keys of a platform, whether it runs or not."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option, Typer

if TYPE_CHECKING:
    from agentstead.store.pool import Database

key = Typer(help="Make, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)

DataDir = Annotated[Path | None, Option(help="Data directory of the platform.")]
DatabaseUrl = Annotated[str | None, Option(help="Its PostgreSQL, when that is not embedded.")]


@key.command("create")
def create(
    name: Annotated[str, Option(help="What the key is for.")] = "key",
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key; its secret is shown this once."""
    from agentstead.resources import api_keys

    row, secret = ask(lambda database: api_keys.create(database, name), data_dir, database_url)
    print(secret)
    note(f"key {row['id']} ({row['name']}); the secret is not shown again")


@key.command("list")
def list_keys(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """List all keys; secrets are not kept, so none is shown."""
    from agentstead.resources import api_keys

    rows = ask(api_keys.list_keys, data_dir, database_url)
    for row in rows:
        state = "live" if row["revoked_at"] is None else f"revoked {row['revoked_at']}"
        used = row["last_used_at"] or "never used"
        print(f"{row['id']}  {row['prefix']}…  {row['name']}  {state}  {used}")
    if not rows:
        note("there are no keys; `agentstead key create` makes one")


@key.command("revoke")
def revoke(
    key: Annotated[str, Argument(help="The key's id, or its name when only one key has it.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """End a key; a running server refuses it within seconds."""
    from agentstead.resources import api_keys

    row = ask(lambda database: api_keys.revoke(database, key), data_dir, database_url)
    note(f"key {row['id']} ({row['name']}) is revoked")


def ask(
    question: Callable[["Database"], Awaitable[Any]],
    data_dir: Path | None,
    database_url: str | None,
) -> Any:
    """Ask the database; an embedded one that does not run is started for it and stopped again."""
    from agentstead import settings
    from agentstead.app.database import any_database
    from agentstead.cli.loop import run_until_done
    from agentstead.clock import SystemClock
    from agentstead.telemetry import logs

    chosen = settings.load(data_dir=data_dir, database_url=database_url)
    logs.configure(level="warning", as_json=chosen.log_json)

    async def asked() -> Any:
        async with any_database(chosen, SystemClock()) as database:
            return await question(database)

    return run_until_done(asked())


def note(text: str) -> None:
    """A line beside the result, which alone goes to standard output."""
    import sys

    print(text, file=sys.stderr)
