"""How a request names an agent or a model."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agentstead.wire.shape import Id, Shape, Text

ModelName = Annotated[Text, StringConstraints(min_length=1, max_length=256)]
Version = Annotated[int, Field(ge=1, le=2**31 - 1)]


class AgentReference(Shape):
    """An agent at a version; without one the latest."""

    type: Literal["agent"]
    id: Id
    version: Version | None = None
