"""The variables of the processes that tools start: told to the runner, which looks what is there inside."""

from collections.abc import Mapping
from typing import Any

from agentstead.sandbox.supervisor.runner import packages

PROXY = "http://127.0.0.1:3128"
PATH = "/workspace/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ALWAYS = {
    "PATH": PATH,
    "HOME": "/workspace",
    "USER": "agent",
    "LOGNAME": "agent",
    "SHELL": "/bin/bash",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    # what is installed goes to the user's own folders; caches stay out of the workspace
    "XDG_CACHE_HOME": "/tmp/.cache",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "NPM_CONFIG_PREFIX": "/workspace/.local",
    "NPM_CONFIG_CACHE": "/tmp/.npm",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "NODE_USE_ENV_PROXY": "1",
    **{name: PROXY for upper in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (upper, upper.lower())},
    "NO_PROXY": "127.0.0.1,localhost,::1",
    "no_proxy": "127.0.0.1,localhost,::1",
}  # fmt: skip
ADDED = "/run/agentstead.pem"
"""The system's authorities and what the platform adds to them, where it does."""
TOLD = (
    "SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "AWS_CA_BUNDLE", "CARGO_HTTP_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
)  # fmt: skip
"""Variables of programs that find the system's by themselves, and not what was added."""
BUNDLES = (ADDED, "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where systems keep the authorities they trust, a private one of the operator's among them."""
TRUSTING = ("NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE")
"""Variables of programs that bring authorities of their own and would not know that one."""


def variables(env: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are always set; of each of some lists of (path, variables) those whose path is the first
    to exist; and `env`, which goes before all of them."""
    trusted = [
        (bundle, dict.fromkeys(TRUSTING + TOLD if bundle == ADDED else TRUSTING, bundle))
        for bundle in BUNDLES
    ]
    return {
        "always": ALWAYS,
        "first_there": [packages.variables(PATH), trusted],
        "env": {str(name): str(value) for name, value in env.items()},
    }
