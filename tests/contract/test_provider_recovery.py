"""A fault leaves a provider usable.

Over the network only: the scripted one has no connection to break, and its passing trouble is tested
in its own file.
"""

import pytest

from agentstead.errors import ProviderFault
from agentstead.providers import PROVIDERS
from tests.contract.test_provider import provider
from tests.support.asking import hear
from tests.support.upstream import Reply, text


@pytest.mark.parametrize("name", sorted(set(PROVIDERS) - {"scripted"}))
async def test_a_fault_leaves_the_provider_usable(name: str) -> None:
    async with provider(name, Reply([text("x")], broken=True), Reply([text("fine")])) as made:
        with pytest.raises(ProviderFault):
            await hear(made)
        assert (await hear(made)).texts == ["fine"]
