"""Connectors: an extension of ours, used by official clients as servers of tools."""

from tests.conformance.requirements.requirement import OWN, Requirement

REQUIREMENTS = {
    "used": Requirement(
        "own",
        "A declared connector is a server of tools to the official SDK; its secret is in no answer; a write "
        "carries the call's id as its idempotency key.",
        OWN,
    ),
}
