"""Lets every Python of a sandbox find the packages of its environment; it runs as each of them starts.

They come after what the agent installed itself and before the system's, which a folder in PYTHONPATH
could not do: it would come before all. Virtual environments stay as empty as they are anywhere.
"""

from __future__ import annotations

import os
import site
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

FOLDER = "/mnt/packages/python"


def add_packages() -> None:
    """Put them in their place."""
    if sys.prefix != sys.base_prefix or not os.path.isdir(FOLDER):
        return
    system = site.getsitepackages()
    place = next((at for at, one in enumerate(sys.path) if one in system), len(sys.path))
    before = len(sys.path)
    site.addsitedir(FOLDER)
    added = sys.path[before:]
    del sys.path[before:]
    sys.path[place:place] = added


def go_on() -> None:
    """Run the module of this name that this one hides, if there is one."""
    here = os.path.dirname(__file__)
    sys.path[:] = [one for one in sys.path if one != here]
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    add_packages()
    go_on()
