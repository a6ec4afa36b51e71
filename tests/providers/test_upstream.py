"""An upstream that is the server itself is refused."""

import socket

import pytest

from agentstead.errors import Misconfigured
from agentstead.providers.upstream import is_self, refuse_self
from agentstead.settings import Settings


@pytest.mark.parametrize(
    ("url", "host", "port", "same"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("http://127.0.0.1:8080/v1/", "127.0.0.1", 8080, True),
        ("http://localhost:8080", "127.0.0.1", 8080, True),
        ("http://LOCALHOST:8080", "localhost", 8080, True),
        ("http://127.0.0.1:8080", "0.0.0.0", 8080, True),
        ("http://[::1]:8080", "::1", 8080, True),
        ("localhost:8080", "127.0.0.1", 8080, True),
        ("http://127.0.0.1", "127.0.0.1", 80, True),
        ("https://127.0.0.1", "127.0.0.1", 443, True),
        ("http://127.0.0.1:8081", "127.0.0.1", 8080, False),
        ("http://127.0.0.1:11434/v1", "127.0.0.1", 8080, False),
        ("https://192.0.2.7:8080", "127.0.0.1", 8080, False),
        ("https://192.0.2.7:8080", "0.0.0.0", 8080, False),
        ("http://nobody-knows-this.invalid:8080", "0.0.0.0", 8080, False),
        ("/no/host:8080", "127.0.0.1", 443, False),
    ],
)
def test_is_self(url: str, host: str, port: int, same: bool) -> None:
    assert is_self(url, host, port) is same


def test_a_name_of_this_machine_counts_when_listening_everywhere() -> None:
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        pytest.skip(f"this machine's own name {name!r} does not resolve")
    assert is_self(f"http://{name}:8080", "0.0.0.0", 8080)


@pytest.mark.parametrize("setting", ["anthropic_base_url", "openai_base_url"])
def test_the_setting_is_named(setting: str) -> None:
    settings = Settings(host="127.0.0.1", port=8099, **{setting: "http://localhost:8099"})
    with pytest.raises(Misconfigured, match=f"AGENTSTEAD_{setting.upper()}"):
        refuse_self(settings)


def test_real_upstreams_pass() -> None:
    refuse_self(Settings(port=8080))
    refuse_self(Settings(port=8080, openai_base_url="http://127.0.0.1:11434/v1"))
