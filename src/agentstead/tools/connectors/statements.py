"""What an SQL statement would do, found by parsing it; and the statement as it is sent.

Promises: what is sent is written anew from what was parsed and judged, so nothing reaches the database
that the parser did not see (comments that a database runs, a second statement); what is not known to be
harmless is refused: unknown kinds of statements, and functions that are neither SQL's own nor listed.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from agentstead.errors import ConnectorFault

STATEMENT_CHARACTERS_MAX = 100_000
READS = (exp.Select, exp.SetOperation, exp.Values, exp.Subquery)
WRITES = (exp.Insert, exp.Update)
DELETES = (exp.Delete, exp.Merge, exp.TruncateTable, exp.Drop)
CREATED = ("TABLE", "INDEX", "VIEW")
"""What may be created: nothing that runs later by itself, or as somebody else."""
NOWHERE = (
    exp.Into, exp.Command, exp.Copy, exp.Set, exp.SetItem, exp.Transaction, exp.Commit, exp.Rollback,
    exp.Grant, exp.Revoke, exp.Attach, exp.Detach, exp.Pragma, exp.Use, exp.Kill, exp.LoadData,
    exp.Analyze, exp.Comment, exp.ReadCSV, exp.SessionParameter,
)  # fmt: skip
"""Refused wherever they stand."""
FUNCTIONS = frozenset(
    [
        "age",
        "array_agg",
        "array_append",
        "array_cat",
        "array_length",
        "array_position",
        "array_remove",
        "array_to_json",
        "array_to_string",
        "array_upper",
        "avg",
        "bit_and",
        "bit_or",
        "bool_and",
        "bool_or",
        "btrim",
        "cardinality",
        "char_length",
        "clock_timestamp",
        "concat_ws",
        "cume_dist",
        "date",
        "date_add",
        "date_format",
        "date_sub",
        "dayname",
        "dense_rank",
        "extract",
        "find_in_set",
        "format",
        "from_unixtime",
        "generate_subscripts",
        "group_concat",
        "hex",
        "host",
        "ifnull",
        "inet",
        "initcap",
        "instr",
        "iif",
        "isfinite",
        "json_agg",
        "json_array",
        "json_array_elements",
        "json_array_elements_text",
        "json_array_length",
        "json_build_array",
        "json_build_object",
        "json_contains",
        "json_each",
        "json_each_text",
        "json_extract",
        "json_extract_path",
        "json_extract_path_text",
        "json_group_array",
        "json_group_object",
        "json_keys",
        "json_object",
        "json_object_agg",
        "json_object_keys",
        "json_query",
        "json_set",
        "json_strip_nulls",
        "json_to_record",
        "json_to_recordset",
        "json_type",
        "json_typeof",
        "json_unquote",
        "json_valid",
        "json_value",
        "jsonb_agg",
        "jsonb_array_elements",
        "jsonb_array_elements_text",
        "jsonb_array_length",
        "jsonb_build_array",
        "jsonb_build_object",
        "jsonb_each",
        "jsonb_each_text",
        "jsonb_extract_path",
        "jsonb_extract_path_text",
        "jsonb_insert",
        "jsonb_object_agg",
        "jsonb_object_keys",
        "jsonb_path_exists",
        "jsonb_path_query",
        "jsonb_path_query_array",
        "jsonb_pretty",
        "jsonb_set",
        "jsonb_strip_nulls",
        "jsonb_to_record",
        "jsonb_to_recordset",
        "jsonb_typeof",
        "julianday",
        "justify_days",
        "justify_interval",
        "lag",
        "last_day",
        "lead",
        "locate",
        "lpad",
        "ltrim",
        "make_date",
        "make_interval",
        "make_time",
        "make_timestamp",
        "make_timestamptz",
        "maketime",
        "mode",
        "monthname",
        "netmask",
        "now",
        "ntile",
        "octet_length",
        "overlay",
        "percent_rank",
        "percentile_cont",
        "percentile_disc",
        "pg_typeof",
        "phraseto_tsquery",
        "plainto_tsquery",
        "position",
        "quote_ident",
        "quote_literal",
        "quote_nullable",
        "rank",
        "regexp_match",
        "regexp_matches",
        "regexp_replace",
        "regexp_split_to_array",
        "regexp_split_to_table",
        "replace",
        "reverse",
        "row_number",
        "row_to_json",
        "rpad",
        "rtrim",
        "setweight",
        "similarity",
        "statement_timestamp",
        "str_to_date",
        "strftime",
        "string_agg",
        "string_to_array",
        "strip",
        "strpos",
        "substr",
        "timediff",
        "timestampdiff",
        "to_ascii",
        "to_char",
        "to_date",
        "to_hex",
        "to_json",
        "to_jsonb",
        "to_number",
        "to_timestamp",
        "to_tsquery",
        "to_tsvector",
        "total",
        "total_changes",
        "transaction_timestamp",
        "translate",
        "trunc",
        "ts_headline",
        "ts_rank",
        "ts_rank_cd",
        "typeof",
        "unaccent",
        "unhex",
        "unicode",
        "unix_timestamp",
        "upper_inf",
        "websearch_to_tsquery",
        "width_bucket",
        "word_similarity",
    ]
)
"""Beside SQL's own: functions that compute something and do nothing else."""
MARK = "agentstead_parameter_"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that may be sent."""

    sql: str
    """Named parameters are `:name`; other colons are written `\\:`."""
    parameters: Mapping[str, Any]


def checked(
    sql: str,
    parameters: Mapping[str, Any],
    dialect: str,
    may: Collection[str],
    rows_max: int,
    functions: Collection[str] = (),
) -> Statement:
    """The statement, if it does no more than it may (`read`, `write`, `delete`). ConnectorFault.

    `rows_max`: of an answer; one more is asked for, to tell whether there are more. `functions`: allowed
    beside the known ones.
    """
    tree = _parsed(sql, dialect)
    wanted = _wanted(tree)
    if wanted not in may:
        raise ConnectorFault(f"it would {wanted}, which is not granted here.", kind="denied")
    for node in tree.walk():
        _check(node, may, frozenset(one.lower() for one in functions))
    return _written(_limited(tree, rows_max + 1), parameters, dialect)


def _parsed(sql: str, dialect: str) -> exp.Expression:
    if len(sql) > STATEMENT_CHARACTERS_MAX:
        raise ConnectorFault(f"sql: At most {STATEMENT_CHARACTERS_MAX} characters.", kind="invalid")
    try:
        trees = [tree for tree in sqlglot.parse(sql, dialect=dialect) if tree is not None]
    except (SqlglotError, RecursionError) as error:
        said = re.sub(r"\x1b\[\d+m", "", str(error).partition("\n")[0])[:300]
        raise ConnectorFault(f"sql: It cannot be read: {said}", kind="invalid") from None
    if len(trees) != 1:
        raise ConnectorFault(f"sql: Must be one statement; these are {len(trees)}.", kind="denied")
    found = trees[0]
    assert isinstance(found, exp.Expression)
    return found


def _wanted(tree: exp.Expression) -> str:
    """The permission that a statement needs by its kind."""
    if isinstance(tree, READS):
        return "read"
    if isinstance(tree, WRITES):
        return "write"
    if isinstance(tree, DELETES):
        return "delete"
    if isinstance(tree, exp.Create) and str(tree.kind).upper() in CREATED:
        return "delete" if tree.args.get("replace") else "write"
    if isinstance(tree, exp.Alter):
        return "delete" if tree.find(exp.Drop) or tree.find(exp.RenameColumn) else "write"
    raise ConnectorFault(
        f"a statement of this kind ({tree.key.upper()}) is not allowed.", kind="denied"
    )


def _check(node: exp.Expr, may: Collection[str], functions: frozenset[str]) -> None:
    """One part of a statement, wherever it stands."""
    if isinstance(node, NOWHERE):
        raise ConnectorFault(f"{node.key.upper()} is not allowed.", kind="denied")
    for kinds, effect in ((WRITES, "write"), (DELETES, "delete"), ((exp.Lock,), "write")):
        if isinstance(node, kinds) and effect not in may:
            raise ConnectorFault(f"it would {effect}, which is not granted here.", kind="denied")
    if isinstance(node, exp.Insert) and node.args.get("overwrite") and "delete" not in may:
        raise ConnectorFault("it would delete, which is not granted here.", kind="denied")
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        name = str(node.name).lower()
        if name not in FUNCTIONS and name not in functions:
            raise ConnectorFault(
                f"the function {name} is not among those that are known to do no harm.",
                kind="denied",
            )


def _limited(tree: exp.Expression, rows: int) -> exp.Expression:
    """A query that asks for no more rows than are looked at."""
    if not isinstance(tree, READS):
        return tree
    given = tree.args.get("limit")
    if given is None and isinstance(tree, exp.Query) and not isinstance(tree, exp.Subquery):
        return tree.limit(rows)
    own = given.expression if isinstance(given, exp.Limit) else None
    if isinstance(own, exp.Literal) and own.is_int and int(own.this) <= rows:
        return tree
    if isinstance(tree, exp.Values) and given is None:
        return tree  # as long as the statement itself
    alias = exp.TableAlias(this=exp.to_identifier("asked"))
    return exp.select("*").from_(exp.Subquery(this=tree, alias=alias)).limit(rows)


def _written(tree: exp.Expression, parameters: Mapping[str, Any], dialect: str) -> Statement:
    """The statement anew, with its parameters named."""
    names: list[str] = []
    for node in list(tree.find_all(exp.Placeholder, exp.Parameter)):
        name = node.name
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,62}", name):
            raise ConnectorFault(
                "sql: A parameter is written :name, and its value given in parameters.",
                kind="invalid",
            )
        if name not in parameters:
            raise ConnectorFault(
                f"parameters.{name}: It is named in sql, and missing.", kind="invalid"
            )
        node.replace(exp.var(f"{MARK}{len(names)}_"))
        names.append(name)
    for name in parameters:
        if name not in names:
            raise ConnectorFault(f"parameters.{name}: sql does not name it.", kind="invalid")
    text = re.sub(r":(?=\w)", r"\\:", tree.sql(dialect=dialect, comments=False))
    for place, name in enumerate(names):
        text = text.replace(f"{MARK}{place}_", f":{name}", 1)
    return Statement(text, {name: parameters[name] for name in names})
