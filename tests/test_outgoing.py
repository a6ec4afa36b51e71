"""Requests to addresses that somebody else chose."""

from collections.abc import Sequence

import httpx2
import pytest

from agentstead import outgoing
from agentstead.addresses import networks
from tests.support.oauth import guarded

LOOPBACK = networks(["127.0.0.0/8"])


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0177.0.0.1", "0", "127.1"],
)  # fmt: skip
async def test_loopback_in_every_spelling_is_refused(host: str) -> None:
    async with guarded() as there, outgoing.client() as http:
        port = there.url.rpartition(":")[2]
        with pytest.raises((outgoing.Refused, *outgoing.FAULTS)) as refused:
            await http.get(f"http://{host}:{port}/mcp")
        assert isinstance(refused.value, outgoing.Refused | httpx2.ConnectError | httpx2.InvalidURL)
        assert there.exchanges == []


async def test_a_refusal_names_address_reason_and_setting() -> None:
    async with outgoing.client() as http:
        with pytest.raises(outgoing.Refused, match=r"127\.0\.0\.1 \(loopback\).*OUTGOING_PRIVATE"):
            await http.get("http://127.0.0.1:9/")


async def test_a_listed_network_is_reached_with_the_name_in_the_host_header() -> None:
    async def resolve(host: str, _: int) -> Sequence[str]:
        assert host == "mcp.example.com"
        return ["10.9.9.9", "127.0.0.1"]

    async with guarded() as there, outgoing.client(LOOPBACK, resolve=resolve) as http:
        port = there.url.rpartition(":")[2]
        answer = await http.post(f"http://mcp.example.com:{port}/token", data={"a": "b"})
        assert (answer.status_code, there.exchanges) == (400, [{"a": "b"}])
        assert there.hosts == [f"mcp.example.com:{port}"]


async def test_a_name_is_resolved_once_per_request() -> None:
    """A name that changes between check and connection gains nothing."""
    asked = []

    async def resolve(host: str, _: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with guarded() as there, outgoing.client(LOOPBACK, resolve=resolve) as http:
        port = there.url.rpartition(":")[2]
        assert (await http.get(f"http://rebind.example.com:{port}/mcp")).status_code == 401
        with pytest.raises(outgoing.Refused, match="private"):
            await http.get(f"http://rebind.example.com:{port}/mcp")
        assert len(asked) == 2


async def test_redirects_are_not_followed() -> None:
    async with guarded() as there, outgoing.client(LOOPBACK) as http:
        there.mcp_status = 302
        assert (await http.get(there.server)).status_code == 302


async def test_tls_verifies_the_name_not_the_address() -> None:
    seen: list[object] = []

    class Inner(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            seen.append((request.url.host, request.extensions["sni_hostname"]))
            return httpx2.Response(200)

    async def resolve(_: str, __: int) -> Sequence[str]:
        return ["93.184.216.34"]

    transport = outgoing.Guarded((), resolve)
    await transport.inner.aclose()
    transport.inner = Inner()  # type: ignore[assignment]
    async with httpx2.AsyncClient(transport=transport) as http:
        await http.get("https://example.com/")
    assert seen == [("93.184.216.34", "example.com")]


async def test_a_name_that_does_not_resolve_is_a_connection_error() -> None:
    async def resolve(_: str, __: int) -> Sequence[str]:
        raise OSError(-2, "Name or service not known")

    async with outgoing.client(resolve=resolve) as http:
        with pytest.raises(httpx2.ConnectError, match=r"nowhere\.example cannot be resolved"):
            await http.get("http://nowhere.example/")
