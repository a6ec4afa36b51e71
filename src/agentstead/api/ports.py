"""What routes work with: one frozen bundle, built by `app.py`, handed to every call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2

from agentstead.clock import Clock
from agentstead.ids import Ids
from agentstead.log.log import SessionLog
from agentstead.log.pressure import Pressure
from agentstead.settings import Settings
from agentstead.store.blobs import Blobs
from agentstead.store.pool import Database
from agentstead.store.seal import Seal
from agentstead.tools.connectors.opened import Connectors


class Entry(Protocol):
    """One model as the Models API shows it."""

    def wire(self) -> Mapping[str, Any]:
        """Every field of the wire's ModelInfo."""
        ...


class Models(Protocol):
    """Model names → who answers for them (`providers.catalogue.Catalogue`)."""

    def resolve(self, name: str) -> Any:
        """Something with `capabilities`; raises Invalid with the list of what there is."""
        ...

    def list(self) -> Sequence[Entry]:
        """What is offered by name."""
        ...

    def info(self, name: str) -> Entry:
        """One model; NotFound."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The rooms below the door."""

    database: Database
    log: SessionLog
    catalogue: Models
    settings: Settings
    clock: Clock
    ids: Ids
    seal: Seal
    http: httpx2.AsyncClient
    """For requests that the platform makes of itself."""
    blobs: Blobs
    connectors: Connectors
    pressure: Pressure
    """How much may wait."""
    hands_problems: Callable[[], Sequence[str]] = tuple
    """What keeps sandboxes from running, as far as it is known without starting one."""
