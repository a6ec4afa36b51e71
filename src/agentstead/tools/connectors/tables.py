"""The tables of a database in words."""

import warnings
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Inspector, inspect
from sqlalchemy.exc import SAWarning

from agentstead.tools.connectors.connector import OUTPUT_CHARACTERS_MAX

TABLES_MAX = 200


def tables(connection: Any, only: Sequence[str] | None) -> str:
    """The tables and views, one a paragraph; `only`: those of these names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SAWarning)  # types that the library does not know
        inspector: Inspector = inspect(connection)
        names = [*inspector.get_table_names(), *inspector.get_view_names()]
        wanted = [name for name in names if not only or name in only]
        parts = [table(inspector, name) for name in wanted[:TABLES_MAX]]
    if len(wanted) > TABLES_MAX:
        parts.append(f"[{len(wanted) - TABLES_MAX} more tables; name those of interest in tables]")
    return "\n\n".join(parts)[:OUTPUT_CHARACTERS_MAX] or "There are no such tables."


def table(inspector: Inspector, name: str) -> str:
    """One: its columns and keys."""
    keys = set(inspector.get_pk_constraint(name).get("constrained_columns") or ())
    lines = [name]
    for column in inspector.get_columns(name):
        key = column["name"] in keys
        notes = " primary key" if key else "" if column["nullable"] else " not null"
        lines.append(f"  {column['name']} {column['type']}{notes}")
    for one in inspector.get_foreign_keys(name):
        own, other = ", ".join(one["constrained_columns"]), ", ".join(one["referred_columns"])
        lines.append(f"  foreign key ({own}) references {one['referred_table']} ({other})")
    return "\n".join(lines)
