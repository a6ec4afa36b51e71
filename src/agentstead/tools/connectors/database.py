"""Databases as tools: the kind. What speaks to them is in `sql`, imported when there is one to speak to."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints

from agentstead.tools.connectors.connector import Connector, Declared, Means
from agentstead.tools.tool import Effect
from agentstead.wire.shape import Shape, Text


class DatabaseConfig(Shape):
    """A database."""

    type: Literal["database"]
    connection: Annotated[Text, StringConstraints(min_length=1, max_length=2048)]
    """`postgresql://user:password@host/db`, `mysql://…` or `sqlite:///path`."""
    rows_max: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Of one answer; more are left out, and the model is told so."""
    functions: Annotated[list[Text], Field(max_length=100)] | None = None
    """Functions that statements may call beside those known to do no harm."""


class Database:
    """The kind."""

    name: ClassVar[str] = "database"
    config: ClassVar[type[Shape]] = DatabaseConfig
    effects: ClassVar[tuple[Effect, ...]] = (Effect.READ, Effect.WRITE, Effect.DELETE)

    def divided(
        self,
        given: Mapping[str, Any],
        means: Means,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """The address without its password, and the whole of it as a secret."""
        from agentstead.tools.connectors import sql

        config = dict(given)
        whole = str(config.pop("connection"))
        url = sql.parsed(whole)
        shown = {"host": url.host, "port": url.port, "database": url.database, "user": url.username}
        config["server"] = {
            "dialect": sql.dialect_of(url).name,
            **{name: value for name, value in shown.items() if value is not None},
        }
        return config, {"connection": whole}

    def open(self, declared: Declared, means: Means) -> Connector:
        """The connector."""
        from agentstead.tools.connectors.sql import DatabaseConnector

        return DatabaseConnector(declared, means)
