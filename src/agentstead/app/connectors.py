"""Where connectors of this process may go, and what they share."""

from agentstead.clock import Clock
from agentstead.settings import Settings
from agentstead.store.pool import Database
from agentstead.tools.connectors.connector import Means
from agentstead.tools.connectors.rate import SharedRates
from agentstead.tools.connectors.servers import Connectors
from agentstead.tools.connectors.targets import Targets


def connectors_of(settings: Settings, database: Database, clock: Clock) -> Connectors:
    """The connectors of a process."""
    targets = Targets.listed(
        settings.connector_private_hosts,
        settings.connector_sqlite_roots,
        own_files=[settings.data_dir],
        own_places=database.places,
    )
    return Connectors(Means(clock, targets), SharedRates(database, clock))
