"""What a layer depends on, and what people are shown of an installer."""

import pytest

from agentstead.sandbox.packages.recipe import (
    Recipe,
    index_variables,
    last_words,
    steps,
    wanted,
)


def test_managers_install_in_the_order_of_the_wire() -> None:
    """clients rule 23: whatever is left out is empty."""
    config = {"packages": {"type": "packages", "pip": ["a"], "npm": ["b"], "apt": ["c"], "go": []}}
    assert list(wanted(config)) == ["apt", "npm", "pip"]
    assert wanted({"type": "self_hosted"}) == {}


def test_the_same_packages_on_the_same_system_are_the_same_layer() -> None:
    plain = Recipe({"pip": ("a",)}, {"python": "3.11"}, {})
    assert plain.key == Recipe({"pip": ("a",)}, {"python": "3.11"}, {}).key
    others = [
        Recipe({"pip": ("a", "b")}, {"python": "3.11"}, {}),
        Recipe({"npm": ("a",)}, {"python": "3.11"}, {}),
        Recipe({"pip": ("a",)}, {"python": "3.12"}, {}),
        Recipe({"pip": ("a",)}, {"python": "3.11"}, {"PIP_INDEX_URL": "http://mirror/"}),
    ]
    assert len({plain.key, *(other.key for other in others)}) == 5


def test_only_variables_of_package_managers_count() -> None:
    env = {
        "PIP_INDEX_URL": "u",
        "npm_config_registry": "r",
        "GOPROXY": "g",
        "LANG": "C",
        "GOAT": "",
    }
    assert set(index_variables(env)) == {"PIP_INDEX_URL", "npm_config_registry", "GOPROXY", "GOAT"}


def test_a_name_cannot_become_a_command() -> None:
    (step,) = steps({"pip": ("it[x]==1.0;touch", "a'b")})
    assert "'it[x]==1.0;touch'" in step.command
    assert step.command.endswith("""'a'"'"'b' )""")


@pytest.mark.parametrize(
    "output",
    [
        "Looking in indexes: https://user:hunter2@mirror.test/simple",
        "npm error //mirror.test/:_authToken=hunter2",
        "Authorization: Bearer hunter2hunter2",
        "GET /x?token=hunter2&y=1",
    ],
)
def test_credentials_are_not_shown(output: str) -> None:
    assert "hunter2" not in last_words(output)
    assert "[redacted]" in last_words(output)


def test_credentials_in_a_packages_name_are_not_shown() -> None:
    recipe = Recipe({"pip": ("git+https://user:hunter2@mirror.test/it",)})
    assert recipe.words == "pip: git+https://[redacted]@mirror.test/it"


def test_only_the_end_of_an_output_is_shown() -> None:
    assert last_words("\n".join(str(n) for n in range(1000)) + "\n\n").splitlines() == [
        str(n) for n in range(988, 1000)
    ]
    assert len(last_words("x" * 10_000)) == 1600
