"""Where connectors may go: they run outside of every sandbox, so each address is checked.

Promises: what is not the public internet is refused unless the operator lists it
(`AGENTSTEAD_CONNECTOR_PRIVATE_HOSTS`); metadata services and the platform's own database, sockets and
files are refused whatever is listed; what was checked is what is connected to.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
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
    own_places: Sequence[tuple[str, int]] = ()
    """Host and port of the platform's own database, where it has one on a network."""

    @classmethod
    def listed(
        cls,
        hosts: Sequence[str],
        roots: Sequence[str] = (),
        own_files: Sequence[Path] = (),
        own_places: Sequence[tuple[str, int]] = (),
    ) -> "Targets":
        """As an operator lists them; ValueError names what is neither a host nor a network."""
        found: list[addresses.Network] = []
        names: set[str] = set()
        for host in hosts:
            try:
                found += addresses.networks([host])
            except ValueError:
                names.add(addresses.host_of(host))
        folders = [Path(root).resolve() for root in roots]
        own = [one.resolve() for one in own_files]
        return cls(tuple(found), frozenset(names), folders, own, own_places)

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
        own, allowed = await self._own(port), self.allowed(host)
        refusals = {
            one: "the platform's own" if one in own else addresses.refusal(one, allowed)
            for one in found
        }
        usable = [one for one, reason in refusals.items() if reason is None]
        if not usable:
            where = ", ".join(f"{one} ({reason})" for one, reason in refusals.items())
            raise ConnectorFault(
                f"{host} is at {where or 'no address'}, where connectors may not go. "
                f"The operator may list private hosts in {SETTING}.",
                kind="unreachable",
            )
        return usable

    async def _own(self, port: int) -> set[str]:
        """The addresses at which the platform's own database answers on this port."""
        found: set[str] = set()
        for host, own_port in self.own_places:
            if own_port == port:
                with suppress(OSError):
                    found |= set(await outgoing.resolved(host, port))
        return found

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
        if not found.is_file():
            raise ConnectorFault(f"There is no file {path}.", kind="unreachable")
        return found
