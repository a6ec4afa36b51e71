"""The kinds of connectors there are."""

from collections.abc import Mapping
from typing import Annotated

from agentstead.tools.connectors.api import Api, ApiConfig
from agentstead.tools.connectors.connector import Kind
from agentstead.tools.connectors.database import Database, DatabaseConfig
from agentstead.tools.connectors.notification import Notification, NotificationConfig
from agentstead.wire.shape import OneOf

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (Api(), Database(), Notification())}
"""By the `type` of their settings."""
Config = Annotated[ApiConfig | DatabaseConfig | NotificationConfig, OneOf()]
"""What a client sends as settings: one member for each kind, told apart by `type`."""
