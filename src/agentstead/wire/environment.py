"""Environments: what a client sends and how it is filled in.

Promises: a stored config is complete (networking, packages, every list); an update merges as the
wire says: omitted members keep, the type may not change.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints

from agentstead.addresses import NUMBER, listed
from agentstead.errors import Invalid
from agentstead.wire.extension import EnvironmentExtension
from agentstead.wire.shape import MetadataPatch, Name, OneOf, Shape, Text

MANAGERS = ("apt", "cargo", "gem", "go", "npm", "pip")
"""In the order in which they install."""

HOST = re.compile(
    r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
HOSTS_MAX = 64
LIST_MAX = 1000
BAD_METADATA = "invalid_metadata"


def _host(text: str) -> str:
    if not HOST.fullmatch(text):
        raise ValueError("Must be a bare host name or *.host, without scheme, port or path")
    if NUMBER.fullmatch(text.rpartition(".")[2].lower()):
        raise ValueError("Must be a host name, not an address")
    return text


def _package(text: str) -> str:
    if text.startswith("-") or not re.fullmatch(r"[!-~]+", text):
        raise ValueError("Must be the name of a package, optionally with its version")
    return text


Host = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_host)]
Package = Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_package)]
PackageList = Annotated[list[Package], Field(max_length=LIST_MAX)]


class Unrestricted(Shape):
    """The whole network."""

    type: Literal["unrestricted"]


class Limited(Shape):
    """Listed hosts only."""

    type: Literal["limited"]
    allowed_hosts: Annotated[list[Host], Field(max_length=HOSTS_MAX)] | None = None
    allow_mcp_servers: bool | None = None
    allow_package_managers: bool | None = None


class Packages(Shape):
    """What is installed before the first tool call."""

    type: Literal["packages"] | None = None
    apt: PackageList | None = None
    cargo: PackageList | None = None
    gem: PackageList | None = None
    go: PackageList | None = None
    npm: PackageList | None = None
    pip: PackageList | None = None


class Cloud(Shape):
    """A sandbox of this platform."""

    type: Literal["cloud"]
    networking: Annotated[Unrestricted | Limited, OneOf()] | None = None
    packages: Packages | None = None


class CloudAlias(Cloud):
    """The same under the name that the hosted service also takes."""

    type: Literal["anthropic_cloud"]  # type: ignore[assignment]


class SelfHosted(Shape):
    """A sandbox that the client brings."""

    type: Literal["self_hosted"]


Config = Annotated[Cloud | CloudAlias | SelfHosted, OneOf()]


class EnvironmentCreate(Shape):
    """The body of a create."""

    codes = {"metadata": BAD_METADATA}
    name: Name
    config: Config | None = None
    description: Annotated[Text, StringConstraints(max_length=2048)] | None = None
    metadata: MetadataPatch | None = None
    scope: Literal["organization", "account"] | None = None
    agentstead: EnvironmentExtension | None = None


class EnvironmentUpdate(Shape):
    """The body of an update: omitted keeps."""

    codes = {"metadata": BAD_METADATA}
    name: Name | None = None
    config: Config | None = None
    description: Annotated[Text, StringConstraints(max_length=2048)] | None = None
    metadata: MetadataPatch | None = None
    scope: Literal["organization", "account"] | None = None
    agentstead: EnvironmentExtension | None = None


EMPTY: dict[str, Any] = {
    "type": "cloud",
    "networking": {"type": "unrestricted"},
    "packages": {"type": "packages", **{name: [] for name in MANAGERS}},
}
"""The config of an environment that says nothing."""


def self_hosted(environment: Mapping[str, Any]) -> bool:
    """Whether a worker of its owner is the environment's sandbox."""
    return bool(environment.get("config", {}).get("type") == "self_hosted")


def merged(stored: Mapping[str, Any] | None, given: Cloud | SelfHosted | None) -> dict[str, Any]:
    """The complete config after `given` (None: nothing said) over `stored` (None: a new one)."""
    if given is None:
        return dict(stored or EMPTY)
    kind = "self_hosted" if isinstance(given, SelfHosted) else "cloud"
    if stored is not None and stored["type"] != kind:
        raise Invalid(
            f'config.type: The type of an environment cannot change from "{stored["type"]}" to "{kind}".',
            code="invalid_config_type_change",
        )
    if isinstance(given, SelfHosted):
        return {"type": "self_hosted"}
    before = stored or EMPTY
    config = {
        "type": "cloud",
        "networking": _network(before["networking"], given.networking),
        "packages": _packages(before["packages"], given.packages),
    }
    _check(config)
    return config


def _network(before: Mapping[str, Any], given: Unrestricted | Limited | None) -> dict[str, Any]:
    if given is None:
        return dict(before)
    if isinstance(given, Unrestricted):
        return {"type": "unrestricted"}
    kept = before if before["type"] == "limited" else {}
    result: dict[str, Any] = {"type": "limited"}
    for name, default in (
        ("allowed_hosts", []),
        ("allow_mcp_servers", False),
        ("allow_package_managers", False),
    ):
        value = getattr(given, name)
        result[name] = kept.get(name, default) if value is None else value
    return result


def _packages(before: Mapping[str, Any], given: Packages | None) -> dict[str, Any]:
    if given is None:
        return dict(before)
    result: dict[str, Any] = {"type": "packages"}
    for name in MANAGERS:
        value = getattr(given, name)
        result[name] = before[name] if value is None else value
    return result


def _check(config: Mapping[str, Any]) -> None:
    network = config["networking"]
    if network["type"] == "limited" and not network["allow_package_managers"]:
        for name in MANAGERS:
            if config["packages"][name]:
                raise Invalid(
                    f"config.packages.{name}: Packages under limited networking need "
                    "networking.allow_package_managers to be true."
                )


def allows(hosts: Sequence[str], host: str) -> bool:
    """Whether a list of hosts, which may begin with `*.`, holds this one."""
    return listed(hosts, host)


def answer(row: Mapping[str, Any]) -> dict[str, Any]:
    """The wire's Environment of a row."""
    return {
        "id": row["id"],
        "type": "environment",
        "name": row["name"],
        "description": row["description"],
        "config": row["config"],
        "metadata": row["metadata"],
        "scope": row["scope"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "archived_at": row["archived_at"],
        **({"agentstead": row["agentstead"]} if row["agentstead"] else {}),
    }
