"""The first key: made at the first start, shown once, and kept beside the data for local commands."""

from agentstead.app.presence import KEY_FILE
from agentstead.resources import api_keys
from agentstead.settings import Settings
from agentstead.store.data_dir import write_private
from agentstead.store.pool import Database


async def bootstrap_key(settings: Settings, database: Database) -> str | None:
    """Make the first key, or the operator's own one valid; the secret, when one was thought up."""
    if settings.api_key is not None:
        await api_keys.bootstrap(database, settings.api_key.get_secret_value())
        return None
    secret = await api_keys.bootstrap(database)
    if secret is not None:
        write_private(settings.data_dir / KEY_FILE, secret + "\n")
    return secret
