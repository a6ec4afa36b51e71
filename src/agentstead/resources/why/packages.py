"""What `/why` tells of the packages of a session's environment, as far as this host knows of them."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agentstead.api.router import Call
from agentstead.clock import rfc3339
from agentstead.log.log import SessionRow
from agentstead.sandbox.packages.layers import Layers, Note
from agentstead.sandbox.packages.recipe import wanted


@dataclass(frozen=True, slots=True)
class PackageFacts:
    """They are being installed, or could not be."""

    packages: Mapping[str, list[str]]
    at: float
    """Since when, or when it was tried last."""
    manager: str = ""
    """Which is at work; empty: none."""
    error: str = ""

    @property
    def text(self) -> str:
        """As a sentence."""
        listed = "; ".join(f"{name}: {', '.join(each)}" for name, each in self.packages.items())
        return (
            f"The packages of its environment are being installed since {rfc3339(self.at)} ({listed}); "
            f"{self.manager} is at work. The first tool call waits for them."
        )

    def notice(self) -> dict[str, Any]:
        """For people and programs."""
        return {
            "type": "packages",
            "message": self.text,
            "since": rfc3339(self.at),
            "manager": self.manager,
            "packages": dict(self.packages),
        }

    def missing(self) -> list[dict[str, str]]:
        """Those that could not be installed, with the reason."""
        return [
            {"name": f"{manager}:{name}", "reason": self.error}
            for manager, names in self.packages.items()
            for name in names
            if self.error
        ]


async def gather_packages(call: Call, row: SessionRow) -> PackageFacts | None:
    """Look for them; None where there is nothing to say."""
    packages = {
        name: list(each) for name, each in wanted(row.environment.get("config", {})).items()
    }
    if not packages:
        return None
    return await asyncio.to_thread(found, Layers.of(call.services.settings), packages)


def found(layers: Layers, packages: Mapping[str, list[str]]) -> PackageFacts | None:
    """What is written down about these packages: what goes on now comes first."""

    def about(note: Note) -> bool:
        return dict(note.packages) == dict(packages)

    for note in filter(about, layers.building()):
        return PackageFacts(packages, note.at, manager=note.words)
    for note in filter(about, layers.failures()):
        return PackageFacts(packages, note.at, error=note.words)
    return None
