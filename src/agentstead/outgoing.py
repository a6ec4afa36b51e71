"""HTTP requests that the platform makes to addresses somebody else chose.

Promises: a name is resolved once per request, and the connection goes to an address that was checked;
what is not the public internet is refused unless the operator lists it; a redirect is not followed;
TLS still verifies the name. Proxies of the environment are not used: they would choose the address.
"""

import asyncio
import functools
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence

import httpx2

from agentstead.addresses import Network, refusal

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port → addresses, in the order in which they are tried."""

SETTING = "AGENTSTEAD_OUTGOING_PRIVATE_NETWORKS"
DEFAULT_PORTS = {"http": 80, "https": 443}


FAULTS = (httpx2.HTTPError, httpx2.InvalidURL)
"""What a request may raise; an address that cannot be parsed is known only then."""


class Refused(httpx2.ConnectError):
    """The address may not be connected to."""


def client(
    allowed: Sequence[Network] = (),
    *,
    timeout_seconds: float = 10.0,
    resolve: "Resolve | None" = None,
) -> httpx2.AsyncClient:
    """A client for such requests; the caller closes it."""
    return httpx2.AsyncClient(
        transport=Guarded(allowed, resolve or resolved),
        timeout=timeout_seconds,
        follow_redirects=False,
        trust_env=False,
    )


@functools.cache
def tls() -> ssl.SSLContext:
    """Made once: it takes as long as several connections."""
    return httpx2.create_ssl_context(trust_env=False)


class Guarded(httpx2.AsyncBaseTransport):
    """Connects to checked addresses only."""

    def __init__(self, allowed: Sequence[Network], resolve: Resolve) -> None:
        self.allowed = allowed
        self.resolve = resolve
        self.inner = httpx2.AsyncHTTPTransport(verify=tls(), trust_env=False)

    async def handle_async_request(  # type: ignore[explicit-override]
        self, request: httpx2.Request
    ) -> httpx2.Response:
        """Send it to the first address that answers."""
        host = request.url.host
        trouble: httpx2.ConnectError | None = None
        for address in await self.addresses(request):
            pinned = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self.inner.handle_async_request(pinned)
            except httpx2.ConnectError as error:
                trouble = error  # nothing has been sent: the next address may do
        assert trouble is not None
        raise trouble

    async def addresses(self, request: httpx2.Request) -> list[str]:
        """Where it may go; Refused when that is nowhere."""
        host = request.url.host
        port = request.url.port or DEFAULT_PORTS.get(request.url.scheme, 0)
        try:
            found = await self.resolve(host, port)
        except OSError as error:
            raise httpx2.ConnectError(
                f"{host} cannot be resolved: {error.strerror or error}", request=request
            ) from error
        refusals = {address: refusal(address, self.allowed) for address in found}
        usable = [address for address, reason in refusals.items() if reason is None]
        if not usable:
            where = ", ".join(f"{address} ({reason})" for address, reason in refusals.items())
            raise Refused(
                f"{host} is at {where or 'no address'}, which is not the public internet. "
                f"The operator may list it in {SETTING}.",
                request=request,
            )
        return usable

    async def aclose(self) -> None:  # type: ignore[explicit-override]
        """Close the connections."""
        await self.inner.aclose()


async def resolved(host: str, port: int) -> Sequence[str]:
    """The addresses that the machine's resolver knows, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
