"""What this platform adds to the wire's objects: everything in one optional object, `agentstead`.

It is absent from answers where nothing was set.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from agentstead.errors import Invalid
from agentstead.wire.shape import Shape

MIB = 1 << 20


class SandboxLimits(Shape):
    """What one sandbox of an environment may use; null or omitted: the platform's default."""

    memory_bytes: Annotated[int, Field(ge=64 * MIB, le=1 << 42)] | None = None
    processes_max: Annotated[int, Field(ge=16, le=65_536)] | None = None
    cpus: Annotated[float, Field(ge=0.05, le=1024)] | None = None
    disk_bytes: Annotated[int, Field(ge=16 * MIB, le=1 << 44)] | None = None
    open_files_max: Annotated[int, Field(ge=256, le=1 << 20)] | None = None
    call_seconds: Annotated[float, Field(ge=1, le=86_400)] | None = None
    """For a call that names no time of its own."""
    output_bytes: Annotated[int, Field(ge=1024, le=16 * MIB)] | None = None
    """Kept of a call's output."""

    session_seconds: Annotated[float, Field(ge=1, le=10_000_000)] | None = None
    """How long a session may run in all; what it waits for answers does not count."""
    turn_seconds: Annotated[float, Field(ge=1, le=10_000_000)] | None = None
    """The same for one turn: from its first message to its end."""


class EnvironmentExtension(Shape):
    """Of an environment."""

    limits: SandboxLimits | None = None
    image: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    """Name or id of the image that sandboxes are made from; `host`: the host's system directories; null or
    omitted: the platform's default."""


class SessionExtension(Shape):
    """Of a session."""

    priority: Annotated[int, Field(ge=-10, le=10)] | None = None
    """Before others of its workspace where workers are scarce: a point is worth a minute of waiting; null or
    omitted: 0."""


LIMITS = tuple(SandboxLimits.model_fields)


def merged(
    stored: Mapping[str, Any] | None,
    given: EnvironmentExtension | None,
    maxima: Mapping[str, float],
) -> dict[str, Any] | None:
    """`stored` after an update: omitted members keep, null ones go back to the default.

    Invalid when a limit is above the operator's maximum. None: nothing is set.
    """
    if given is None:
        return None
    limits = dict((stored or {}).get("limits", {}))
    if given.limits is None:
        if "limits" in given.model_fields_set:
            limits = {}
    else:
        limits |= given.limits.given()
    limits = {name: value for name, value in limits.items() if value is not None}
    for name, value in limits.items():
        if name in maxima and value > maxima[name]:
            raise Invalid(
                f"agentstead.limits.{name}: {value:g} is above the {maxima[name]:g} that this "
                "server's operator allows."
            )
    image = (stored or {}).get("image")
    if "image" in given.model_fields_set:
        image = given.image
    values = {"limits": limits or None, "image": image}
    return {name: value for name, value in values.items() if value is not None} or None
