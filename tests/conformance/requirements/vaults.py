"""Vaults and their credentials."""

from tests.conformance.requirements.requirement import CLIENTS, OWN, Requirement

REQUIREMENTS = {
    "life": Requirement(
        "vaults §3.1, §3.2", "A vault is created, read, listed, changed, archived and deleted."
    ),
    "credentials": Requirement(
        "vaults §3.2",
        "Each sort of authentication comes back with every field but its secrets.",
    ),
    "no-secret": Requirement(
        "vaults §3.3",
        "No answer, message, log line or row of the database holds a secret in clear.",
    ),
    "places": Requirement(
        "vaults §3.3, §11 C17",
        "One live credential per server or variable of a vault: a second is a 409; archiving frees the place.",
    ),
    "full": Requirement("vaults §3.3", "The 21st live credential of a vault is a 400."),
    "fixed": Requirement(
        "vaults §3.3", "Type, server, variable, token endpoint and client cannot be changed."
    ),
    "injection": Requirement(
        "vaults §3.2",
        "Injection places: both when omitted, a missing one false, merged on update, never none, never null.",
    ),
    "bad-input": Requirement(
        "vaults §3.2, §3.3", "Bad hosts, names, times and URLs are 400 naming the field."
    ),
    "archive": Requirement(
        "vaults §3.6",
        "Archiving a vault archives its credentials and purges their secrets; changes are refused then.",
    ),
    "cleanup-order": Requirement(
        "vaults §3.6, clients rules 31, 45",
        "Archive and delete work in any order and again.",
        CLIENTS,
    ),
    "session": Requirement(
        "vaults §3.3, wire §5.2",
        "A session names live vaults of its workspace; others are refused, and none can be changed later.",
    ),
    "variables": Requirement(
        "vaults §3.4",
        "Programs in the sandbox use a credential as an environment variable: a placeholder inside, the"
        " secret only in requests to its hosts, over TLS, where it may stand.",
    ),
    "variables-cut-off": Requirement(
        "wire §7.8",
        "A credential for a host that the environment does not allow is told by a session.error.",
    ),
    "variables-live": Requirement(
        "vaults §3.4, §3.5",
        "The first vault with a live credential of a name wins; a change counts at the next request.",
    ),
    "canary": Requirement(
        "vaults §3.3, §3.4",
        "No secret is ever in an event, a log, a metric, the database in clear, the sandbox or a process.",
        evidence=OWN,
    ),
    "mcp": Requirement(
        "vaults §3.4",
        "A server is shown the token of the first vault that has a live one; a change counts at once.",
    ),
    "refresh": Requirement(
        "vaults §3.5",
        "An OAuth token is renewed before it ends and when it is refused, and kept; a failure stops nothing.",
    ),
    "validate": Requirement(
        "vaults §3.2",
        "A credential is tried on its server and refreshed on a 401; the verdict says whose fault a failure is.",
    ),
}
