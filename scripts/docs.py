"""Write the generated parts of docs/ from the code. `docs.py --check` only compares and exits 1 on a difference."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
SOURCE = ROOT / "src/agentstead"
BY_HAND = "Made from the code by `make docs`; do not edit.\n"
BEGIN, END = "<!-- rules: begin -->\n", "<!-- rules: end -->\n"
TESTED, TESTED_END = "<!-- conformance: begin -->\n", "<!-- conformance: end -->\n"


def cell(text: str) -> str:
    """Text for one cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def settings() -> str:
    """Every setting: variable, type, default, meaning."""
    text = (SOURCE / "settings.py").read_text()
    lines = text.splitlines()
    body = next(
        n for n in ast.parse(text).body if isinstance(n, ast.ClassDef) and n.name == "Settings"
    ).body
    out = [
        "# Settings\n", BY_HAND,
        "Each is an environment variable; the options of the command line override some of them. Names end in their unit.",
        "`ANTHROPIC_API_KEY` and `ANTHROPIC_BASE_URL` are used when their `AGENTSTEAD_` forms are not set.",
    ]  # fmt: skip
    for number, node in enumerate(body):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        above = lines[node.lineno - 2].strip()
        if above.startswith("#"):
            out += [
                f"\n## {above.lstrip('# ').capitalize()}\n",
                "| variable | type | default | |",
                "|---|---|---|---|",
            ]
        after = body[number + 1] if number + 1 < len(body) else None
        doc = (
            after.value.value
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
            else ""
        )
        kind = ast.unparse(node.annotation).replace(" | None", "")
        name = f"AGENTSTEAD_{node.target.id.upper()}"
        out.append(f"| `{name}` | {kind} | {cell(default(node.value))} | {cell(str(doc))} |")
    return "\n".join(out) + "\n"


def default(value: ast.expr | None) -> str:
    """A default as people write it."""
    if value is None or (isinstance(value, ast.Constant) and value.value is None):
        return "none"
    if isinstance(value, ast.Call) and ast.unparse(value).startswith(
        "Field(default_factory=default_data_dir"
    ):
        return "`/var/lib/agentstead` as root, else `~/.agentstead`"
    if isinstance(value, ast.BinOp):
        return f"`{eval(compile(ast.Expression(value), '', 'eval'))}`"  # our own constants
    return f"`{ast.unparse(value)}`"


def errors() -> str:
    """The tree of errors, and each with its status and wire type."""
    from agentstead import errors as module

    tree = (module.__doc__ or "").split("\n\n", 1)[1]
    out = [
        "# Errors\n", BY_HAND,
        "Whose fault it is is the type: a refusal is the caller's, a fault is the world's. Only refusals and internal errors reach",
        "a client, as `{\"type\":\"error\",\"error\":{\"type\":…,\"message\":…},\"request_id\":…}`; the message starts with the path of the field.",
        f"\n```\n{tree.rstrip()}\n```\n",
        "| class | status | `error.type` | default message |", "|---|---|---|---|",
    ]  # fmt: skip
    for name, found in vars(module).items():
        if inspect.isclass(found) and issubclass(found, module.AgentsteadError):
            status, wire = getattr(found, "status", ""), getattr(found, "wire_type", "")
            out.append(
                f"| {name} | {status} | {f'`{wire}`' if wire else ''} | {cell(found.__doc__ or '')} |"
            )
    return "\n".join(out) + "\n"


def commands() -> str:
    """Every command with its options."""
    import typer

    from agentstead.cli.main import app

    out = ["# Command line\n", BY_HAND]
    for path, command, context in walk(typer.main.get_command(app), "agentstead", None):
        out += [
            f"## {path}\n",
            "```text",
            "\n".join(line.rstrip() for line in command.get_help(context).splitlines()),
            "```\n",
        ]
    return "\n".join(out)


def walk(command, path: str, parent) -> Iterator[tuple]:
    """A command and those below it."""
    context = command.context_class(
        command,
        info_name=path.rsplit(maxsplit=1)[-1],
        parent=parent,
        terminal_width=100,
        max_content_width=100,
    )
    yield path, command, context
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, f"{path} {name}", context)


def metrics() -> str:
    """Every name the platform is watched by."""
    body = ast.parse((SOURCE / "telemetry/names.py").read_text()).body
    out = ["# Metrics\n", BY_HAND, "`GET /metrics` shows them in Prometheus' format. Labels never hold ids or texts of users.\n",
           "| name | |", "|---|---|"]  # fmt: skip
    keys = ["\n## Keys of log lines\n", "| key | |", "|---|---|"]
    for node, after in pairwise(body):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            row = f"| `{node.value.value}` | {cell(ast.literal_eval(after.value))} |"
            (keys if "Key of a log line" in row else out).append(row)
    return "\n".join((*out, *keys)) + "\n"


def api() -> str:
    """Every route, by family."""
    from agentstead.api.describe import describe
    from agentstead.resources import ROUTERS

    out = [
        "# API\n", BY_HAND,
        "`GET /openapi.json` of a running server has the whole description, with the schemas of all bodies. Every route below `/v1` needs",
        "a key (`Authorization: Bearer …` or `x-api-key: …`). What differs from the hosted service is in [compatibility](../compatibility.md).",
    ]  # fmt: skip
    families: dict[str, list[str]] = {}
    for path, methods in describe(ROUTERS)["paths"].items():
        for method, found in methods.items():
            words = cell(found.get("summary") or found.get("description") or "")
            families.setdefault(found["tags"][0], []).append(
                f"| `{method.upper()} {path}` | {words} |"
            )
    for family, rows in families.items():
        out += [f"\n## {family}\n", "| route | |", "|---|---|", *rows]
    return "\n".join(out) + "\n"


def compatibility() -> str:
    """The compatibility page with what the conformance tests prove."""
    sys.path.insert(0, str(ROOT))
    from tests.conformance.compatibility import tables

    head, rest = (DOCS / "compatibility.md").read_text().split(TESTED)
    return head + TESTED + tables() + TESTED_END + rest.split(TESTED_END)[1]


def planner() -> str:
    """The planner's page with its rules in their order."""
    from agentstead.harness import plan

    page = (DOCS / "architecture/planner.md").read_text()
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    out = []
    for title, table in (
        ("Rules of the session", plan.SESSION_RULES),
        ("Rules of each thread", plan.THREAD_RULES),
    ):
        out += [f"\n### {title}\n", "| | rule | |", "|---|---|---|"]
        out += [
            f"| {n} | `{name}` | {cell(rule.__doc__ or '')} |"
            for n, (name, rule) in enumerate(table, 1)
        ]
    return head + BEGIN + "\n".join(out) + "\n\n" + END + tail


PAGES: dict[str, Callable[[], str]] = {
    "reference/settings.md": settings,
    "reference/errors.md": errors,
    "reference/cli.md": commands,
    "reference/metrics.md": metrics,
    "reference/api.md": api,
    "architecture/planner.md": planner,
    "compatibility.md": compatibility,
}


def main(*arguments: str) -> int:
    """Write or compare."""
    stale = []
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in arguments:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    if stale:
        print(
            "docs: "
            + ("differ from the code, run `make docs`: " if "--check" in arguments else "written: ")
            + ", ".join(stale)
        )
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
