"""Where the packages of an environment are in its sandboxes, and how programs find them."""

from __future__ import annotations

PACKAGES = "/mnt/packages"
PYTHON_PACKAGES, NODE_PACKAGES = f"{PACKAGES}/python", f"{PACKAGES}/node"
GLOBAL = "/usr/local/lib/node_modules"
"""Where npm puts what is installed into an image; node would not look there by itself."""
STARTUP = "/run/agentstead/startup"
"""What every Python reads as it starts (`sitecustomize.py`)."""


def variables(path: str) -> list[tuple[str, dict[str, str]]]:
    """The variables of tools' processes, by what has to be there; `path`: the PATH without packages.

    What the agent installs itself, which comes first on it, goes before them, and the system after.
    """
    own, _, system = path.partition(":")
    with_packages = {
        "PATH": f"{own}:{PYTHON_PACKAGES}/bin:{NODE_PACKAGES}/bin:{system}",
        "PYTHONPATH": STARTUP,
        "NODE_PATH": f"{NODE_PACKAGES}/lib/node_modules",
    }
    return [(PACKAGES, with_packages), (GLOBAL, {"NODE_PATH": GLOBAL})]
