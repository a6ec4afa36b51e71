"""What tools of MCP servers are held to (wire §3.4, §7.5, §7.8)."""

from tests.conformance.requirements.requirement import OWN, SDK, Requirement

REQUIREMENTS: dict[str, Requirement] = {
    "calls": Requirement(
        "wire §3.4, §7.5",
        "Tools of MCP servers are offered and called; events carry the bare name and the server's.",
        SDK,
    ),
    "asks": Requirement(
        "wire §3.4, §3.1", "They ask by default; configs decide tool by tool, and can disable one."
    ),
    "same-name": Requirement("wire §3.4", "Two servers may have a tool of the same name.", OWN),
    "content": Requirement(
        "wire §7.5", "Text, images and resources of a result arrive as content blocks.", SDK
    ),
    "sse": Requirement("wire §3.4", "A server that only knows the older SSE transport is reached."),
    "self-hosted": Requirement(
        "wire §7.10, trap 37", "On a self-hosted environment they are still called by the server."
    ),
    "unreachable": Requirement(
        "wire §3.4, §7.8",
        "A server that cannot be reached is told once per running period, does not stop the session, "
        "and is tried again in the next.",
    ),
    "retry-status": Requirement(
        "wire §7.8",
        "The `retry_status` of such an error is `retrying`: the turn goes on, the next tries again.",
        OWN,
    ),
    "unauthorized": Requirement(
        "wire §7.8", "A server that refuses access is a `mcp_authentication_failed_error`.", SDK
    ),
    "private": Requirement(
        "wire §3.4",
        "A server at a private address is not connected to unless the operator lists it.",
        OWN,
    ),
    "interrupt": Requirement("wire §7.10", "An interrupt cancels a call; a hung one ends in time."),
    "update": Requirement(
        "wire §5.5", "A session's new tools and servers apply from its next turn."
    ),
    "many": Requirement("wire §3.4", "More tools than a model takes are left out and said.", OWN),
    "stale-field": Requirement(
        "clients rule 50", "`server_name` in an `mcp_toolset` is a 400 that names the right field."
    ),
    "why": Requirement("extension", "`/why` names a server that could not be reached.", OWN),
}
