"""`agentstead key create|list|revoke`: a platform's API keys and its environments' keys, whether it
runs or not."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option, Typer

if TYPE_CHECKING:
    from agentstead.store.pool import Database

key = Typer(
    help="Make, list and revoke API keys, and the keys of self-hosted environments' workers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DataDir = Annotated[Path | None, Option(help="Data directory of the platform.")]
DatabaseUrl = Annotated[str | None, Option(help="Its PostgreSQL, when that is not embedded.")]

Environment = Annotated[
    str | None, Option(help="A self-hosted environment: its key, which serves its workers only.")
]


@key.command("create")
def create(
    name: Annotated[str, Option(help="What the key is for.")] = "key",
    environment: Environment = None,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a key; its secret is shown this once."""
    from agentstead.resources import api_keys, environment_keys

    async def made(database: "Database") -> Any:
        if environment is None:
            return await api_keys.create(database, name)
        return await environment_keys.create(database, environment, name)

    row, secret = ask(made, data_dir, database_url)
    print(secret)
    note(f"key {row['id']} ({row['name']}); the secret is not shown again")


@key.command("list")
def list_keys(
    environment: Environment = None, data_dir: DataDir = None, database_url: DatabaseUrl = None
) -> None:
    """List all keys, or those of one environment; secrets are not kept, so none is shown."""
    from agentstead.resources import api_keys, environment_keys

    async def found(database: "Database") -> Any:
        own = [] if environment else await api_keys.list_keys(database)
        return [*own, *await environment_keys.list_keys(database, environment)]

    rows = ask(found, data_dir, database_url)
    for row in rows:
        state = "live" if row["revoked_at"] is None else f"revoked {row['revoked_at']}"
        used = row["last_used_at"] or "never used"
        where = f"  {row['environment_id']}" if "environment_id" in row else ""
        print(f"{row['id']}  {row['prefix']}…  {row['name']}  {state}  {used}{where}")
    if not rows:
        note("there are no keys; `agentstead key create` makes one")


@key.command("revoke")
def revoke(
    key: Annotated[
        str, Argument(help="The key's id, or the name of an API key when only one has it.")
    ],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """End a key; a running server refuses an API key within seconds, an environment's key at once."""
    from agentstead.ids import ENVIRONMENT_KEY
    from agentstead.resources import api_keys, environment_keys

    keys = environment_keys if key.startswith(f"{ENVIRONMENT_KEY}_") else api_keys
    row = ask(lambda database: keys.revoke(database, key), data_dir, database_url)
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
