"""The documents under test: nothing is undocumented, generated pages are current, links and code hold."""

import ast
import importlib.util
import re
from pathlib import Path

import pytest

from agentstead.wire.events import names

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted((*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "changes").glob("*.md")))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def generator():
    """scripts/docs.py as a module."""
    spec = importlib.util.spec_from_file_location("agentstead_docs", ROOT / "scripts/docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def where(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("name", sorted(generator().PAGES))
def test_generated_pages_are_current(name: str) -> None:
    assert (DOCS / name).read_text() == generator().PAGES[name](), f"docs/{name}: run `make docs`"


def test_every_event_type_is_documented() -> None:
    page = (DOCS / "reference/events.md").read_text()
    known = {*names.PERSISTED, names.DELETED, *names.PREVIEWS}
    missing = sorted(name for name in known if f"`{name}`" not in page)
    assert not missing, f"docs/reference/events.md: add {missing}"
    written = set(re.findall(r"`((?:user|agent|session|span|system|workflow_run)\.\w+)`", page))
    assert written <= known, f"docs/reference/events.md: no such event: {sorted(written - known)}"


def test_every_setting_error_and_command_is_documented() -> None:
    from agentstead import errors
    from agentstead.cli.main import app
    from agentstead.settings import Settings

    settings = (DOCS / "reference/settings.md").read_text()
    assert [n for n in Settings.model_fields if f"`AGENTSTEAD_{n.upper()}`" not in settings] == []
    tree = (DOCS / "reference/errors.md").read_text()
    classes = [name for name, found in vars(errors).items() if isinstance(found, type)]
    known = [n for n in classes if issubclass(getattr(errors, n), errors.AgentsteadError)]
    assert len(known) > 10
    assert [name for name in known if f"| {name} |" not in tree] == []
    page = (DOCS / "reference/cli.md").read_text()
    commands = [command.name for command in app.registered_commands]
    commands += [group.name for group in app.registered_groups]
    assert len(commands) > 4
    assert [name for name in commands if f"## agentstead {name}\n" not in page] == []


def test_the_tree_of_errors_is_the_tree() -> None:
    from agentstead import errors

    drawn = {word for line in errors.__doc__.splitlines() for word in re.findall(r"── (\w+)", line)}
    real = {
        n
        for n, c in vars(errors).items()
        if isinstance(c, type) and c.__module__ == errors.__name__
    }
    assert drawn == real - {"AgentsteadError"}, "errors.py: draw the new class in the tree on top"


@pytest.mark.parametrize("page", PAGES, ids=where)
def test_links_resolve(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{where(page)}: {link} leads nowhere"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
            slugs = {
                re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles
            }
            assert anchor in slugs, f"{where(page)}: {link} names no heading"


def test_every_page_is_linked() -> None:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.findall(page.read_text())
    }
    lost = [
        where(page) for page in DOCS.rglob("*.md") if page not in linked and page.name != "index.md"
    ]
    assert not lost, f"no page leads to {lost}; link them from docs/index.md"


@pytest.mark.parametrize("page", PAGES, ids=where)
def test_python_blocks_compile(page: Path) -> None:
    for block in FENCE.findall(page.read_text()):
        ast.parse(block)


def test_pages_name_targets_that_the_makefile_has() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"(?:^|`)make (?:-s )?([a-z]+)", page.read_text(), re.MULTILINE))
        assert named <= targets, f"{where(page)}: the Makefile has no {sorted(named - targets)}"


def test_the_pages_say_which_files_there_are() -> None:
    """A path of the source named in a page exists."""
    rooms = "|".join(
        sorted(path.name for path in (ROOT / "src/agentstead").iterdir() if path.is_dir())
    )
    named = re.compile(
        rf"`((?:{rooms})/[\w/]+\.(?:py|md|sql)|(?:tests|src|scripts|docs|bench)/[\w/.-]+)`"
    )
    missing = []
    for page in PAGES:
        for path in named.findall(page.read_text()):
            if "x." in path or "NNNN" in path or "<" in path:
                continue
            places = (ROOT / path, ROOT / "src/agentstead" / path)
            if not any(place.exists() for place in places):
                missing.append(f"{where(page)}: {path} does not exist")
    assert not missing, "\n".join(missing)
