"""`agentstead backup` and `agentstead restore`: everything a platform knows, into a folder and back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

from agentstead.cli.key import DatabaseUrl, DataDir, ask, note

if TYPE_CHECKING:
    from agentstead.store.pool import Database

SHOWN = 5
"""Lost bodies that are named."""


def backup(
    target: Annotated[Path, Argument(help="A folder that is not there yet.")],
    with_keys: Annotated[
        bool,
        Option(help="Also the master keys of stored secrets and the local API key. Keep it safe."),
    ] = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Save the database and all files' bodies, of one moment; the platform may run meanwhile.

    Exit code 1 when a body is lost or damaged; the rest is saved then.
    """
    from agentstead import settings
    from agentstead.app.backup import Manifest, back_up
    from agentstead.app.rooms import BLOBS
    from agentstead.clock import SystemClock
    from agentstead.store.blobs import FolderBlobs

    chosen = settings.load(data_dir=data_dir, database_url=database_url)
    place = target.expanduser().absolute()
    blobs = FolderBlobs(chosen.data_dir / BLOBS)

    async def made(database: "Database") -> Manifest:
        return await back_up(database, chosen.data_dir, blobs, place, SystemClock(), keys=with_keys)

    manifest = ask(made, data_dir, database_url)
    print(place)
    note(f"saved: the database, and {manifest.bodies} bodies of {manifest.bytes} bytes")
    if not with_keys:
        note("not saved: the master keys; without them no stored secret can be read again")
    if manifest.lost:
        named = ", ".join(manifest.lost[:SHOWN])
        note(f"lost or damaged, and so not saved: {len(manifest.lost)} bodies ({named})")
        raise Exit(1)


def restore(
    source: Annotated[Path, Argument(help="The folder of a backup.")],
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Make a platform from a backup, in an empty data directory or database."""
    from agentstead import settings
    from agentstead.app import restore as restoring
    from agentstead.cli.loop import run_until_done
    from agentstead.clock import SystemClock
    from agentstead.telemetry import logs

    chosen = settings.load(data_dir=data_dir, database_url=database_url)
    logs.configure(level="warning", as_json=chosen.log_json)
    work = restoring.restore(chosen, source.expanduser().absolute(), SystemClock())
    manifest = run_until_done(work)
    note(f"restored: the database, and {manifest.bodies - len(manifest.lost)} bodies")
    if not manifest.keys:
        note(
            "the backup holds no master keys: put the file seal-keys, or AGENTSTEAD_SEAL_KEYS, there"
        )
        note("`agentstead key create` makes an API key")
