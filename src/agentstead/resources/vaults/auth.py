"""What a credential authenticates with, as it is sent to create or change one."""

import re
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from agentstead.wire.agent import ServerUrl
from agentstead.wire.shape import OneOf, Shape, Text

SECRET_MAX = 65_536
HOSTS_MAX = 16

Secret = Annotated[Text, StringConstraints(min_length=1, max_length=SECRET_MAX)]
Word = Annotated[Text, StringConstraints(min_length=1, max_length=1024)]

RESERVED = re.compile(
    r"PATH|HOME|SHELL|USER|IFS|TERM|PWD|TMPDIR|BASH_.*|ENV|LD_.*|DYLD_.*|PYTHON.*|NODE_OPTIONS|GIT_.*"
    r"|(HTTP|HTTPS|ALL|NO|FTP)_PROXY|SSL_CERT_.*|(REQUESTS|CURL|AWS)_CA_BUNDLE|NODE_EXTRA_CA_CERTS|PIP_CERT"
    r"|CARGO_HTTP_CAINFO|AGENTSTEAD_.*",
    re.IGNORECASE,
)
"""Variables through which a program is steered rather than told a secret."""


def _variable(name: str) -> str:
    if RESERVED.fullmatch(name):
        raise ValueError("This variable steers programs and cannot hold a secret")
    return name


LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def _host(entry: str) -> str:
    host = entry.removeprefix("*.").lower()
    labels = host.split(".")
    if all(label.isdigit() for label in labels):
        try:
            IPv4Address(host)
        except AddressValueError:
            raise ValueError(HOST_RULE) from None
        if entry.startswith("*."):
            raise ValueError(HOST_RULE)
    elif len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise ValueError(HOST_RULE)
    return entry


HOST_RULE = (
    "Must be a host name, an IPv4 address or *.suffix, without scheme, port and path, in ASCII"
)


class NoClientSecret(Shape):
    """The token endpoint knows the client by its id alone."""

    type: Literal["none"]


class BasicClientSecret(Shape):
    """The client's secret goes into the Authorization header."""

    type: Literal["client_secret_basic"]
    client_secret: Secret


class PostClientSecret(Shape):
    """The client's secret goes into the body."""

    type: Literal["client_secret_post"]
    client_secret: Secret


ClientAuth = Annotated[NoClientSecret | BasicClientSecret | PostClientSecret, OneOf()]


class BasicClientSecretUpdate(Shape):
    """A new client secret; none keeps the old one."""

    type: Literal["client_secret_basic"]
    client_secret: Secret | None = None


class PostClientSecretUpdate(Shape):
    """A new client secret; none keeps the old one."""

    type: Literal["client_secret_post"]
    client_secret: Secret | None = None


ClientSecret = Annotated[BasicClientSecretUpdate | PostClientSecretUpdate, OneOf()]


class Refresh(Shape):
    """How a new access token is got."""

    token_endpoint: ServerUrl
    client_id: Word
    refresh_token: Secret
    token_endpoint_auth: ClientAuth
    scope: Word | None = None
    resource: Word | None = None


class RefreshUpdate(Shape):
    """What may change of it; the rest must be as it is."""

    refresh_token: Secret | None = None
    scope: Annotated[Text, StringConstraints(max_length=1024)] | None = None
    """The empty string clears it."""
    token_endpoint_auth: ClientSecret | None = None
    token_endpoint: str | None = None
    client_id: str | None = None
    resource: str | None = None


class Limited(Shape):
    """Only these hosts get the secret."""

    type: Literal["limited"]
    allowed_hosts: Annotated[
        list[Annotated[str, AfterValidator(_host)]], Field(min_length=1, max_length=HOSTS_MAX)
    ]


class Unrestricted(Shape):
    """Any host that the environment lets the agent reach gets the secret."""

    type: Literal["unrestricted"]


Networking = Annotated[Unrestricted | Limited, OneOf()]


class Injection(Shape):
    """Where in a request the secret is put in place of its placeholder."""

    header: bool = False
    body: bool = False


BOTH = Injection(header=True, body=True)


class StaticBearer(Shape):
    """A fixed token for an MCP server."""

    type: Literal["static_bearer"]
    mcp_server_url: ServerUrl
    token: Secret


class StaticBearerUpdate(Shape):
    """A new token."""

    type: Literal["static_bearer"]
    token: Secret | None = None
    mcp_server_url: str | None = None


class Oauth(Shape):
    """An OAuth access token for an MCP server, which may be refreshed."""

    type: Literal["mcp_oauth"]
    mcp_server_url: ServerUrl
    access_token: Secret
    expires_at: Text | None = None
    refresh: Refresh | None = None


class OauthUpdate(Shape):
    """New tokens."""

    type: Literal["mcp_oauth"]
    access_token: Secret | None = None
    expires_at: Text | None = None
    refresh: RefreshUpdate | None = None
    mcp_server_url: str | None = None


class Variable(Shape):
    """A secret that programs in the sandbox use without seeing it."""

    type: Literal["environment_variable"]
    secret_name: Annotated[
        str,
        StringConstraints(max_length=255, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
        AfterValidator(_variable),
    ]
    secret_value: Secret
    networking: Networking
    injection_location: Injection = BOTH


class VariableUpdate(Shape):
    """A new secret, or where it may go."""

    type: Literal["environment_variable"]
    secret_value: Secret | None = None
    networking: Networking | None = None
    injection_location: Injection = Injection()
    secret_name: str | None = None


Auth = Annotated[Oauth | StaticBearer | Variable, OneOf()]
AuthUpdate = Annotated[OauthUpdate | StaticBearerUpdate | VariableUpdate, OneOf()]
