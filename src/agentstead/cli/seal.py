"""`agentstead seal rotate|forget`: the master keys under which vaults' secrets are stored."""

from typing import TYPE_CHECKING

from typer import Typer

from agentstead.cli.key import DatabaseUrl, DataDir, ask, note

if TYPE_CHECKING:
    from agentstead.store.key_ring import KeyRing

seal = Typer(
    help="Rotate the master keys of stored secrets.", no_args_is_help=True, rich_markup_mode=None
)


@seal.command("rotate")
def rotate(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Make a new master key and put every stored secret under it; servers go on meanwhile."""
    from agentstead.resources.vaults.rewrapping import rewrap
    from agentstead.store.seal import Seal

    ring = opened(data_dir)
    added = ring.add()
    count = ask(lambda database: rewrap(database, Seal(ring)), data_dir, database_url)
    note(f"master key {added} seals from now on; {count} secrets were put under it")
    note("in a minute, when no request that began before is left: `agentstead seal forget`")


@seal.command("forget")
def forget(data_dir: DataDir = None, database_url: DatabaseUrl = None) -> None:
    """Forget old master keys, once no stored secret needs them."""
    from agentstead.resources.vaults.rewrapping import rewrap
    from agentstead.store.seal import Seal

    ring = opened(data_dir)
    ask(lambda database: rewrap(database, Seal(ring)), data_dir, database_url)
    old = ring.drop_old()
    note(f"forgotten: {', '.join(old)}" if old else "there are no old master keys")


def opened(data_dir: object) -> "KeyRing":
    """The key ring of the settings."""
    from agentstead import settings
    from agentstead.app.rooms import ring_of

    return ring_of(settings.load(data_dir=data_dir))
