"""What `/why` says of packages: what is being installed, and what could not be."""

import os

from agentstead.resources.why.facts import Facts
from agentstead.resources.why.notices import noticed
from agentstead.resources.why.packages import found
from agentstead.sandbox.packages.layers import Layers
from tests.resources.why.test_reasons import HELD, NOW, row

WANTED = {"npm": ["prettier"], "pip": ["pandas", "plotly"]}


def test_a_build_is_told_while_it_goes_on(tmp_path) -> None:
    layers = Layers(tmp_path)
    assert found(layers, WANTED) is None
    layers.root.mkdir(exist_ok=True)
    layers.failed("a", WANTED, 1.0, "the last one")
    lock = layers.lock("a")
    assert lock is not None
    layers.begun("a", WANTED, 2.0, "npm")
    facts = Facts(row("running", **HELD), NOW, packages=found(layers, WANTED))
    (notice,) = [one for one in noticed(facts) if one["type"] == "packages"]
    assert notice["message"] == (
        "The packages of its environment are being installed since 1970-01-01T00:00:02.000000Z"
        " (npm: prettier; pip: pandas, plotly); npm is at work. The first tool call waits for them."
    )
    assert (notice["manager"], notice["packages"]) == ("npm", WANTED)
    assert facts.packages is not None
    assert facts.packages.missing() == []
    assert found(layers, {"pip": ["pandas"]}) is None
    os.close(lock)


def test_packages_that_could_not_be_installed_are_named(tmp_path) -> None:
    layers = Layers(tmp_path)
    layers.failed("a", WANTED, 1.0, "pip could not install pandas: no")
    packages = found(layers, WANTED)
    assert packages is not None
    missing = packages.missing()
    assert [one["name"] for one in missing] == ["npm:prettier", "pip:pandas", "pip:plotly"]
    assert {one["reason"] for one in missing} == {"pip could not install pandas: no"}
    assert noticed(Facts(row("idle", "end_turn"), NOW, packages=packages)) == []
