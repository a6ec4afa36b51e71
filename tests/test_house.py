"""The rules of the house, checked. Each rule says what to do; `test_every_rule_bites` proves that it can fail."""

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = {"__pycache__", "dist", "build", "node_modules", "out"}
SAYS_NOTHING = {
    "utils", "util", "helpers", "helper", "common", "misc", "base", "core", "manager", "service", "services",
    "models", "types", "schemas", "crud",
}  # fmt: skip
NAMES_ALLOWED = {"src/agentstead/resources/models.py"}
MODULE_LINES = 500
FUNCTION_LINES = 60
HARNESS_LINES = 2200
TEST_LINES = 800
DECISION_LINES = 60
README_LINES = 150
CATCH_ALL = {
    "src/agentstead/api/faults.py",
    "src/agentstead/worker/loop.py",
    "src/agentstead/chores/chore.py",
    "src/agentstead/tools/connectors/guard.py",
}
EVENT_SQL = re.compile(
    r"\b(?:from|into|update|join|table|only)\s+(?:events|inbox)\b", re.IGNORECASE
)
TREES = ("src", "tests", "bench", "scripts", "examples")
TARGET = re.compile(r"agentstead(?:\.\w+)+:\w+")


def files(root: Path, suffix: str, *under: str) -> Iterator[Path]:
    """Files of the tree with this suffix; hidden folders and what is built do not count."""
    for top in under or (".",):
        for path in sorted((root / top).rglob(f"*{suffix}")):
            parts = path.relative_to(root).parts
            if not any(part in SKIPPED or part.startswith(".") for part in parts):
                yield path


def name(root: Path, path: Path) -> str:
    """The path as people write it."""
    return path.relative_to(root).as_posix()


def names_say_something(root: Path) -> Iterator[str]:
    """No file or folder is called utils, helpers and the like."""
    for path in files(root, ".py", *TREES):
        where = name(root, path)
        said = {path.stem, *path.relative_to(root).parts[:-1]}
        if said & SAYS_NOTHING and where not in NAMES_ALLOWED:
            yield f"{where}: this name says nothing about what is inside; name it after its one concept"


def modules_have_docstrings(root: Path) -> Iterator[str]:
    """Every module says what it is."""
    for path in files(root, ".py", *TREES):
        text = path.read_text()
        if text.strip() and not ast.get_docstring(ast.parse(text)):
            yield f"{name(root, path)}: no docstring; say in its first lines what it is and what it promises"


def sizes(root: Path) -> Iterator[str]:
    """Modules, functions, the harness and the texts stay readable."""
    for path in files(root, ".py", "src"):
        lines = len(path.read_text().splitlines())
        if lines > MODULE_LINES:
            yield f"{name(root, path)}: {lines} lines; split it along its concepts (at most {MODULE_LINES})"
        yield from long_functions(root, path)
    harness = sum(
        len(path.read_text().splitlines()) for path in files(root, ".py", "src/agentstead/harness")
    )
    if harness > HARNESS_LINES:
        yield f"src/agentstead/harness: {harness} lines; it must be read in one sitting (at most {HARNESS_LINES})"
    for path in files(root, ".py", "tests"):
        if (lines := len(path.read_text().splitlines())) > TEST_LINES:
            yield f"{name(root, path)}: {lines} lines; split it by subject (at most {TEST_LINES})"


def long_functions(root: Path, path: Path) -> Iterator[str]:
    """Functions longer than the limit, docstring not counted."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            length = (node.end_lineno or 0) - first.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name(root, path)}:{node.lineno} {node.name}: {length} lines; take a part out (at most {FUNCTION_LINES})"


def mirror_of_the_source(root: Path) -> Iterator[str]:
    """A test of a room is called after the file it tests: tests/log/test_append.py or test_append_fence.py."""
    for room in sorted(path for path in (root / "src/agentstead").iterdir() if path.is_dir()):
        stems = {path.stem for path in files(root, ".py", name(root, room))}
        stems |= {path.name for path in room.rglob("*") if path.is_dir()}
        for test in files(root, ".py", f"tests/{room.name}"):
            subject = test.stem.removeprefix("test_")
            known = any(subject == stem or subject.startswith(f"{stem}_") for stem in stems)
            if test.stem.startswith("test_") and not known:
                yield f"{name(root, test)}: no file of src/agentstead/{room.name} has this name; call it after the file it tests"


def catches_are_narrow(root: Path) -> Iterator[str]:
    """`except Exception` stands where a process guards itself, nowhere else."""
    for path in files(root, ".py", "src"):
        where = name(root, path)
        if where in CATCH_ALL:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and catches_all(node.type):
                yield f"{where}:{node.lineno}: catches everything; catch what you can answer ({', '.join(sorted(CATCH_ALL))} may)"


def catches_all(caught: ast.expr | None) -> bool:
    """Whether an except clause takes everything."""
    parts = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        part is None or (isinstance(part, ast.Name) and part.id == "Exception") for part in parts
    )


def tools_have_words(root: Path) -> Iterator[str]:
    """The text that the model reads lies beside its tool."""
    for path in files(root, ".py", "src/agentstead/tools"):
        if (
            re.search(r"^TOOL\b", path.read_text(), re.MULTILINE)
            and not path.with_suffix(".md").exists()
        ):
            yield f"{name(root, path)}: no {path.stem}.md beside it; write there what the model reads"
    for path in files(root, ".md", "src/agentstead/tools"):
        if not path.with_suffix(".py").exists():
            yield f"{name(root, path)}: a text without its tool; remove it or write {path.stem}.py"


def leaves_are_listed(root: Path) -> Iterator[str]:
    """Each leaf of a room with a registry stands in it by import string."""
    for room, mark in (
        ("tools", r"^TOOL\b"),
        ("providers", r"^class \w+.*:\n(?:.*\n)*?    name(?:: str)? = "),
    ):
        registry = root / "src/agentstead" / room / "__init__.py"
        if not registry.exists():
            continue
        listed = set(TARGET.findall(registry.read_text()))
        for path in files(root, ".py", f"src/agentstead/{room}"):
            module = (
                name(root, path).removeprefix("src/").removesuffix(".py").removesuffix("/__init__")
            )
            module = module.replace("/", ".")
            is_leaf = path != registry and re.search(mark, path.read_text(), re.MULTILINE)
            if is_leaf and not any(target.startswith(f"{module}:") for target in listed):
                yield f"{name(root, path)}: not listed; add its line to src/agentstead/{room}/__init__.py"


def event_tables_belong_to_the_log(root: Path) -> Iterator[str]:
    """Only log/ speaks SQL on the event tables."""
    for path in files(root, ".py", "src"):
        where = name(root, path)
        if not where.startswith(("src/agentstead/log/", "src/agentstead/store/")):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if EVENT_SQL.search(line) and re.search(
                    r"select|insert|update|delete|from|join", line
                ):
                    yield f"{where}:{number}: SQL on an event table; ask log/ for it"


def locks_hold_no_addresses(root: Path) -> Iterator[str]:
    """Lock files: names, versions and hashes, so that they work behind any mirror."""
    for path in files(root, ".lock"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"\w+://|\bfile:|--(?:index|extra-index|find-links)", line):
                yield f"{name(root, path)}:{number}: holds an address; write the lock with scripts/lock"
            if "==" in line and "--hash" not in line and not line.rstrip().endswith("\\"):
                yield f"{name(root, path)}:{number}: no hash; write the lock with scripts/lock"


def no_paths_of_one_machine(root: Path) -> Iterator[str]:
    """Nothing names a folder that exists on its author's machine only."""
    local = re.compile(
        rf"{re.escape(str(root))}/|(?<![\w.~$}}-])/(?:home|Users)/[a-z][\w-]*/|(?<![\w.}}])/work/"
    )
    for suffix in (".py", ".md", ".toml", ".sql", ".lock", ".yaml", ".cfg"):
        for path in files(root, suffix):
            if path.name != "test_house.py":
                for number, line in enumerate(path.read_text().splitlines(), 1):
                    if local.search(line):
                        yield f"{name(root, path)}:{number}: a path of one machine; compute it or say it in words"


def doubles_are_real(root: Path) -> Iterator[str]:
    """Doubles are implementations held to the contract suite."""
    for path in files(root, ".py", "tests", "src", "bench"):
        if path.name != "test_house.py" and re.search(
            r"unittest\.mock|from unittest import mock|MagicMock", path.read_text()
        ):
            yield f"{name(root, path)}: mocks; use a double of agentstead.testing or the real thing"


def hooks_are_local(root: Path) -> Iterator[str]:
    """The commit hook clones nothing."""
    hooks = root / ".pre-commit-config.yaml"
    for line in hooks.read_text().splitlines() if hooks.exists() else ():
        if re.match(r"\s*-?\s*repo:", line) and "local" not in line:
            yield f".pre-commit-config.yaml: {line.strip()}: use `repo: local`; the lock file has the versions"


def texts_are_short_and_titled(root: Path) -> Iterator[str]:
    """A page begins with its title; README and decisions stay short."""
    limits = {
        path: DECISION_LINES
        for path in files(root, ".md", "docs/decisions")
        if path.name[:4].isdigit()
    }
    limits[root / "README.md"] = README_LINES
    for path in (*files(root, ".md", "docs"), *root.glob("*.md")):
        lines = path.read_text().splitlines()
        if not lines or not lines[0].startswith("# "):
            yield f"{name(root, path)}: begins without a title; make its first line `# Title`"
        if len(lines) > limits.get(path, len(lines)):
            yield f"{name(root, path)}: {len(lines)} lines; shorten it (at most {limits[path]})"


RULES = (
    names_say_something, modules_have_docstrings, sizes, mirror_of_the_source, catches_are_narrow,
    tools_have_words, leaves_are_listed, event_tables_belong_to_the_log, locks_hold_no_addresses,
    no_paths_of_one_machine, doubles_are_real, hooks_are_local, texts_are_short_and_titled,
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps(rule) -> None:
    broken = list(rule(ROOT))
    assert not broken, "\n" + "\n".join(broken)


def targets() -> list[str]:
    """Every `module:attribute` that a room's __init__ lists."""
    found = []
    for path in files(ROOT, "__init__.py", "src/agentstead"):
        found += TARGET.findall(path.read_text())
    return found


def test_what_registries_list_resolves() -> None:
    lost = []
    for target in targets():
        module, attribute = target.split(":")
        try:
            getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            lost.append(f"{target}: listed but not there ({error}); correct or remove its line")
    assert not lost, "\n".join(lost)


# Beside each rule: files that break it. A name with + in front only belongs to the scene.
PLANTED = {
    names_say_something: {"src/agentstead/log/helpers.py": '"""X."""\n'},
    modules_have_docstrings: {"src/agentstead/log/append.py": "X = 1\n"},
    sizes: {
        "src/agentstead/log/append.py": '"""X."""\n' + "x = 1\n" * MODULE_LINES,
        "src/agentstead/log/read.py": '"""X."""\ndef f():\n    """D."""\n'
        + "    x = 1\n" * (FUNCTION_LINES + 1),
        "src/agentstead/harness/plan.py": '"""X."""\n' * (HARNESS_LINES + 1),
        "tests/log/test_append.py": "x = 1\n" * (TEST_LINES + 1),
    },
    mirror_of_the_source: {
        "tests/log/test_nothing.py": '"""X."""\n',
        "+src/agentstead/log/read.py": '"""X."""\n',
    },
    catches_are_narrow: {
        "src/agentstead/log/a.py": "try: pass\nexcept Exception: pass\n",
        "src/agentstead/log/b.py": "try: pass\nexcept (OSError, Exception): pass\n",
        "src/agentstead/log/c.py": "try: pass\nexcept: pass\n",
    },
    tools_have_words: {
        "src/agentstead/tools/bash.py": "TOOL = 1\n",
        "src/agentstead/tools/read.md": "X\n",
    },
    leaves_are_listed: {
        "+src/agentstead/tools/__init__.py": "T = {}\n",
        "src/agentstead/tools/bash.py": "TOOL = 1\n",
        "+src/agentstead/providers/__init__.py": "P = {}\n",
        "src/agentstead/providers/new.py": 'class New:\n    """N."""\n\n    name = "new"\n',
    },
    event_tables_belong_to_the_log: {
        "src/agentstead/resources/x.py": 'S = "select 1 from events"\n'
    },
    locks_hold_no_addresses: {
        "requirements.lock": "a==1 \\\n  --hash=x\nhttps://x/a.whl\n",
        "b.lock": "a==1\n",
    },
    no_paths_of_one_machine: {"docs/a.md": "see /home/ann/x\n", "docs/b.md": "see {root}/x\n"},
    doubles_are_real: {"tests/log/test_read.py": "from unittest.mock import MagicMock\n"},
    hooks_are_local: {".pre-commit-config.yaml": "repos:\n  - repo: example.test/hooks\n"},
    texts_are_short_and_titled: {
        "docs/a.md": "no title\n",
        "docs/decisions/0001-a.md": "# A\n" * (DECISION_LINES + 1),
        "README.md": "# A\n" * (README_LINES + 1),
    },
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_bites(rule, tmp_path: Path) -> None:
    (tmp_path / "src/agentstead/log").mkdir(parents=True)
    for where, text in {"+README.md": "# X\n", **PLANTED[rule]}.items():
        path = tmp_path / where.removeprefix("+")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{root}", str(tmp_path)))
    said = "\n".join(rule(tmp_path))
    for where in PLANTED[rule]:
        assert where.startswith("+") or f"{where}:" in said, f"{where} was not found in:\n{said}"
    if rule is sizes:
        assert "src/agentstead/harness:" in said
