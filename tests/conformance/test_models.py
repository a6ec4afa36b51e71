"""The Models API through the official SDK."""

from typing import Any

import anthropic
import pytest

from tests.conformance.requirements import requirement
from tests.support.server import MODEL


@requirement("agents:models")
async def test_models_are_listed_and_found(client: Any) -> None:
    listed = [one async for one in client.models.list(limit=1)]
    names = [one.id for one in listed]
    assert names
    assert len(names) == len(set(names))
    found = await client.models.retrieve(names[0])
    assert found.id == names[0]
    assert (await client.beta.models.retrieve(MODEL)).id == MODEL
    with pytest.raises(anthropic.NotFoundError, match="There are"):
        await client.models.retrieve("gpt-none")
    page = await client.models.list(before_id=names[0])
    assert page.data == []
    with pytest.raises(anthropic.BadRequestError, match="after_id"):
        await client.models.list(after_id="none")
