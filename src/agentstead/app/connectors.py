"""The servers of tools that a process calls, and where its connectors may go."""

from collections.abc import Callable

from agentstead.clock import Clock
from agentstead.resources.connectors.stored import StoredConnectors
from agentstead.resources.vaults.oauth import Oauth
from agentstead.resources.vaults.tokens import VaultTokens
from agentstead.settings import Settings
from agentstead.store.pool import Database
from agentstead.telemetry.metrics import Metrics
from agentstead.tools.connectors.connector import Means
from agentstead.tools.connectors.opened import Connectors
from agentstead.tools.connectors.rate import SharedRates
from agentstead.tools.connectors.targets import Targets
from agentstead.tools.mcp.servers import McpServers
from agentstead.worker.servers import Servers

DEFAULTS = (
    "notify_slack_url",
    "notify_slack_credential",
    "notify_email_url",
    "notify_webhook_url",
    "notify_webhook_credential",
)


def servers_of(
    settings: Settings, oauth: Oauth, metrics: Metrics, mask: Callable[[str, str], None]
) -> Servers:
    """MCP servers and connectors; `mask` takes a session's id and every secret that is used for it."""
    mcp = McpServers(settings, oauth.clock, metrics, VaultTokens(oauth, mask))
    connectors = connectors_of(settings, oauth.database, oauth.clock)
    return Servers(mcp, connectors, StoredConnectors(oauth, mask))


def connectors_of(settings: Settings, database: Database, clock: Clock) -> Connectors:
    """The connectors of a process."""
    targets = Targets.listed(
        settings.connector_private_hosts,
        settings.connector_sqlite_roots,
        own_files=[settings.data_dir],
        own_places=database.places,
    )
    return Connectors(Means(clock, targets, defaults_of(settings)), SharedRates(database, clock))


def defaults_of(settings: Settings) -> dict[str, str]:
    """What the operator has set for declarations that leave it out, by name of the setting."""
    found = {
        name: secret.get_secret_value()
        for name in DEFAULTS
        if (secret := getattr(settings, name)) is not None
    }
    return found | ({"connector_apprise": "true"} if settings.connector_apprise else {})
