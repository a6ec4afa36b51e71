"""Sandboxes into which this platform installs nothing: they have what their engine's image brings."""

from collections.abc import Mapping
from typing import Any

from agentstead.sandbox.packages.fault import PackagesFault
from agentstead.sandbox.packages.recipe import wanted
from agentstead.sandbox.sandbox import Prepared


class Elsewhere:
    """Says so, where an environment lists packages all the same."""

    def begin(self, _: Mapping[str, Any]) -> None:
        """Nothing is begun."""

    async def prepared(
        self,
        environment: Mapping[str, Any],
        *,
        wait: bool = True,  # noqa: ARG002
    ) -> Prepared:
        """Nowhere. Raises PackagesFault where packages are listed."""
        if wanted(environment.get("config", {})):
            raise PackagesFault(
                "Sandboxes have what their engine's image brings here; nothing is installed into them."
            )
        return Prepared()
