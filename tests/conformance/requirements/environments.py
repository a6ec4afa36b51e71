"""Environments."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, SDK, Requirement

REQUIREMENTS = {
    "life": Requirement(
        "wire §4.2, trap 20",
        "Created, read, updated, archived, deleted; deletion answers with an object.",
    ),
    "every-field": Requirement(
        "wire §4.1, clients rules 22, 23",
        "A response has a complete config, whatever the request left out; `anthropic_cloud` is `cloud`.",
        CLIENTS,
    ),
    "metadata": Requirement("wire §1.9", "Null and the empty string delete a pair."),
    "type-change": Requirement(
        "wire §4.2", "The type of the config cannot change: 400, `invalid_config_type_change`."
    ),
    "archived": Requirement(
        "wire §4.2, §13",
        "An archived one is read-only and takes no session: 400, `environment_archived`; lists leave it out.",
    ),
    "limits": Requirement(
        "own extension",
        "`agentstead.limits` bound the sandboxes of its sessions, within the operator's maxima.",
        OWN,
    ),
    "image": Requirement(
        "own extension",
        "`agentstead.image` names what its sandboxes are made from; a session keeps the image it was made with.",
        OWN,
    ),
    "deleted": Requirement("wire §4.2", "A deleted one is a 404, `environment_not_found`.", SDK),
    "refused-by-path": Requirement(
        "wire §4.1",
        "A wrong field is a 400 whose message begins with its path, and nothing is stored.",
    ),
    "self-hosted": Requirement(
        "wire §4.1",
        "`self_hosted` is stored and echoed; its sessions take no files or repositories.",
    ),
    "limited-servers": Requirement(
        "wire §3.4, §5.2",
        "A limited network that does not allow an agent's MCP servers refuses its sessions.",
    ),
    "network": Requirement(
        "wire §4.1",
        "A sandbox reaches what its session's environment allowed when the session was made.",
    ),
    "packages": Requirement(
        "clients rule 24",
        "Packages are installed once, in the background, before the first tool call runs; the model does not wait.",
        CLIENTS,
    ),
    "packages-fail": Requirement(
        "clients rule 24",
        "Packages that cannot be installed are told with the installer's last lines, and end nothing.",
        CLIENTS,
    ),
}
