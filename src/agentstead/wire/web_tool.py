"""Settings of the two web tools: domains, sizes, places, sources.

Promises: a domain that passes names a public host by its plain name, so that a rule over it means
what it says.
"""

import ipaddress
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from agentstead.wire.shape import OneOf, Shape, Shorthand, Text

DOMAINS_MAX = 64
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PRIVATE = ("local", "internal", "localdomain", "localhost", "invalid")
SUFFIXES = frozenset(
    ("co.uk", "org.uk", "ac.uk", "gov.uk", "com.au", "net.au", "org.au", "co.jp", "ne.jp", "or.jp",
     "co.nz", "co.za", "co.in", "co.kr", "com.br", "com.cn", "com.mx", "com.tr", "com.tw", "com.sg")
)  # fmt: skip
"""Registry suffixes of two labels that are met most; nobody's own host."""


def _host(text: str) -> None:
    lower = text.lower()
    if not lower.isascii():
        raise ValueError(f'"{text}" must be written in ASCII (punycode)')
    try:
        ipaddress.ip_address(lower.strip("[]"))
    except ValueError:
        pass
    else:
        raise ValueError(f'"{text}" is an IP address; name a host')
    labels = lower.split(".")
    if len(labels) < 2 or lower in SUFFIXES:
        raise ValueError(f'"{text}" is not a host below a registry suffix')
    if labels[-1] in PRIVATE:
        raise ValueError(f'"{text}" is not a public host')
    if not all(LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise ValueError(f'"{text}" must be a plain host name without scheme, port or wildcard')


def _hosts(domains: list[str]) -> list[str]:
    for domain in domains:
        _host(domain)
    return _distinct(domains)


def _hosts_with_path(domains: list[str]) -> list[str]:
    for domain in domains:
        host, slash, path = domain.partition("/")
        _host(host)
        if slash and not re.fullmatch(r"[!-~]*", path):
            raise ValueError(f'"{domain}" has a path with blanks or characters outside ASCII')
    return _distinct(domains)


def _distinct(domains: list[str]) -> list[str]:
    if len({domain.lower() for domain in domains}) < len(domains):
        raise ValueError("A domain is listed twice")
    if not domains:
        raise ValueError("Empty list of domains is ambiguous. Provide at least one domain or null.")
    return domains


Domain = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Domains = Annotated[list[Domain], Field(max_length=DOMAINS_MAX), AfterValidator(_hosts)]
Places = Annotated[list[Domain], Field(max_length=DOMAINS_MAX), AfterValidator(_hosts_with_path)]


class UserLocation(Shape):
    """Roughly where the user is."""

    type: Literal["approximate"]
    city: Text | None = None
    region: Text | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = None
    timezone: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_+/-]{1,64}$")] | None = None


class All(Shape):
    """Every one."""

    type: Literal["all"]


class NoneOf(Shape):
    """Not one."""

    type: Literal["none"]


class ToolReference(Shape):
    """A tool, by its name."""

    type: Literal["tool_reference"]
    name: Annotated[Text, StringConstraints(min_length=1, max_length=128)]


def _different(tools: list[ToolReference]) -> list[ToolReference]:
    if len({tool.name for tool in tools}) < len(tools):
        raise ValueError("A tool is listed twice")
    return tools


References = Annotated[
    list[ToolReference], Field(min_length=1, max_length=128), AfterValidator(_different)
]


class Only(Shape):
    """Only these tools."""

    type: Literal["only"]
    tools: References


class Except(Shape):
    """All but these tools."""

    type: Literal["except"]
    tools: References


Word = Literal["all", "none"]
UserInput = Annotated[Word | Annotated[All | NoneOf, OneOf()], Shorthand()]
ToolFilter = Annotated[Word | Annotated[All | NoneOf | Only | Except, OneOf()], Shorthand()]


class UrlSources(Shape):
    """Where the addresses that may be fetched come from."""

    user_input: UserInput | None = None
    client_tool_results: ToolFilter | None = None
    server_tool_results: ToolFilter | None = None

    def resolved(self) -> dict[str, Any]:
        """In object form; null where nothing was said."""
        return {
            name: {"type": value} if isinstance(value, str) else value and value.as_sent()
            for name in ("user_input", "client_tool_results", "server_tool_results")
            for value in (getattr(self, name),)
        }

    @model_validator(mode="after")
    def something_is_left(self) -> "UrlSources":
        """With no source at all the tool could fetch nothing."""
        if all(value == {"type": "none"} for value in self.resolved().values()):
            raise ValueError("At least one source must not be none")
        return self


class _Listed(Shape):
    allowed_domains: Any = None
    blocked_domains: Any = None

    @model_validator(mode="after")
    def one_list(self) -> "_Listed":
        """Both lists together have no clear meaning."""
        if self.allowed_domains is not None and self.blocked_domains is not None:
            raise ValueError("Only one of allowed_domains or blocked_domains may be set.")
        return self


class WebFetchConfig(_Listed):
    """What `web_fetch` takes beside the common settings."""

    allowed_domains: Domains | None = None
    blocked_domains: Domains | None = None
    max_content_tokens: Annotated[int, Field(ge=1)] | None = None
    url_sources: UrlSources | None = None

    def settings(self) -> dict[str, Any]:
        """As answered."""
        return {
            "allowed_domains": self.allowed_domains,
            "blocked_domains": self.blocked_domains,
            "max_content_tokens": self.max_content_tokens,
            "url_sources": self.url_sources and self.url_sources.resolved(),
        }


class WebSearchConfig(_Listed):
    """What `web_search` takes beside the common settings."""

    allowed_domains: Places | None = None
    blocked_domains: Places | None = None
    user_location: UserLocation | None = None

    def settings(self) -> dict[str, Any]:
        """As answered."""
        place = self.user_location
        return {
            "allowed_domains": self.allowed_domains,
            "blocked_domains": self.blocked_domains,
            "user_location": place
            and {"type": place.type, "city": place.city, "region": place.region,
                 "country": place.country, "timezone": place.timezone},
        }  # fmt: skip
