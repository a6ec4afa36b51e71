"""Where connectors may go: they run outside of every sandbox, so each address is checked.

Promises: what is not the public internet is refused unless the operator lists it
(`AGENTSTEAD_CONNECTOR_PRIVATE_HOSTS`); metadata services and the platform's own database, sockets and
files are refused whatever is listed; what was checked is what is connected to.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from agentstead import addresses, outgoing
from agentstead.errors import ConnectorFault

SETTING = "AGENTSTEAD_CONNECTOR_PRIVATE_HOSTS"
SQLITE_SETTING = "AGENTSTEAD_CONNECTOR_SQLITE_ROOTS"
EVERYWHERE: tuple[addresses.Network, ...] = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))


@dataclass(frozen=True, slots=True)
class Targets:
    """What the operator allows, and what is the platform's own."""

    networks: Sequence[addresses.Network] = ()
    names: frozenset[str] = frozenset()
    """Hosts whose addresses may be private."""
    sqlite_roots: Sequence[Path] = ()
    own_files: Sequence[Path] = ()
    """Folders of the platform."""
    own_addresses: frozenset[tuple[str, int]] = field(default_factory=frozenset)
    """(address, port) of the platform's own database and API, wherever they listen."""

    @classmethod
    def listed(
        cls, hosts: Sequence[str], roots: Sequence[str] = (), own_files: Sequence[Path] = ()
    ) -> "Targets":
        """As an operator lists them; ValueError names what is neither a host nor a network."""
        found, names = [], set()
        for host in hosts:
            try:
                found += addresses.networks([host])
            except ValueError:
                names.add(addresses.host_of(host))
        folders = [Path(root).resolve() for root in roots]
        return cls(
            tuple(found), frozenset(names), folders, [one.resolve() for one in own_files]
        )

    def allowed(self, host: str) -> Sequence[addresses.Network]:
        """What the addresses of a host may be beyond the public internet."""
        return EVERYWHERE if host.lower() in self.names else self.networks

    async def resolved(self, host: str, port: int) -> list[str]:
        """The addresses that may be connected to. ConnectorFault when there is none."""
        try:
            found = await outgoing.resolved(host, port)
        except OSError as error:
            raise ConnectorFault(
                f"{host} cannot be resolved: {error.strerror or error}.", kind="unreachable"
            ) from None
        refusals = {one: self.refusal(one, port, self.allowed(host)) for one in found}
        usable = [one for one, reason in refusals.items() if reason is None]
        if not usable:
            where = ", ".join(f"{one} ({reason})" for one, reason in refusals.items())
            raise ConnectorFault(
                f"{host} is at {where or 'no address'}, where connectors may not go. "
                f"The operator may list private hosts in {SETTING}.",
                kind="unreachable",
            )
        return usable

    def refusal(
        self, address: str, port: int, allowed: Sequence[addresses.Network]
    ) -> str | None:
        """Why an address is not connected to; None: it may be."""
        if (address, port) in self.own_addresses:
            return "the platform's own"
        return addresses.refusal(address, allowed)

    def file(self, path: str) -> Path:
        """A database file that may be opened. ConnectorFault says which setting lists the folders."""
        found = Path(path).resolve()
        if any(found.is_relative_to(own) for own in self.own_files):
            raise ConnectorFault(f"{path} is the platform's own.", kind="denied")
        if not any(found.is_relative_to(root) for root in self.sqlite_roots):
            raise ConnectorFault(
                f"{path} is below none of the folders that the operator lists in {SQLITE_SETTING}.",
                kind="denied",
            )
        return found
