"""The kinds of connectors there are."""

from collections.abc import Mapping

from agentstead.tools.connectors.api import Api, ApiConfig
from agentstead.tools.connectors.connector import Kind

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (Api(),)}
"""By the `type` of their settings."""
Config = ApiConfig
"""What a client sends as settings: one member for each kind, told apart by `type`."""
