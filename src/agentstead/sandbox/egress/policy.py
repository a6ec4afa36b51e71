"""What one sandbox may reach: decided by name and port first, then by the address itself. Pure.

A denial is a sentence that the program inside gets to read: it names the host and what to change.
The environment decides about names; addresses are the operator's: whatever a name resolves to, what
is not the public internet is refused unless the operator opened it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentstead.addresses import Opening, host_of, listed, literal, opening, refusal

UNRESTRICTED = "unrestricted"
HOSTS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Denial:
    """Why not."""

    reason: str
    """A word for logs and metrics."""
    sentence: str
    """For the program inside, and for whoever reads its output."""
    status: int = 403
    failed: bool = False
    """It was allowed, and could not be done."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What one sandbox may reach."""

    mode: str = UNRESTRICTED
    hosts: tuple[str, ...] = ()
    """Where `mode` is not unrestricted: names, and `*.x` for every name below x."""
    denied: tuple[str, ...] = ()
    """The operator's; goes before everything else."""
    ports: tuple[int, ...] = (80, 443)
    openings: tuple[Opening, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Names whose address the operator wrote down."""

    @property
    def limited(self) -> bool:
        """Whether there is a list of hosts."""
        return self.mode != UNRESTRICTED

    def denial(self, host: str, port: int) -> Denial | None:
        """Why this host and port may not be asked for, before anything is looked up."""
        if listed(self.denied, host):
            return Denial("closed", f"{host} is closed by the operator of this platform.")
        if self.limited and not listed(self.hosts, host):
            return Denial("host", f"{host} is not an allowed host. {self._allowed()}")
        if port not in self.ports and not any(one.port == port for one in self.openings):
            ports = ", ".join(str(one) for one in self.ports)
            return Denial(
                "port",
                f"Port {port} of {host} is not allowed; allowed ports are {ports}."
                " The operator of this platform can allow more.",
            )
        return None

    def address_denial(
        self, host: str, port: int, address: str, *, own: bool = False
    ) -> Denial | None:
        """Why this address of a host may not be connected to; `own`: it is this machine's."""
        covering = [one for one in self.openings if one.covers(address, port)]
        kind = refusal(address, [one.network for one in covering])
        if kind is None and own and not covering:
            kind = "this machine's own"
        if kind is not None:
            what = "is" if literal(host) else "leads to"
            return Denial(
                "address",
                f"{host} {what} an address that is not public ({kind}), which sandboxes may not"
                " reach. The operator of this platform can open it.",
            )
        if port not in self.ports and not any(one.port == port for one in covering):
            return Denial("port", f"Port {port} of {host} is not allowed at this address.")
        return None

    def opened(self, address: str, port: int) -> bool:
        """Whether the operator opened this address by name or range: it is near, not outside."""
        return any(one.covers(address, port) for one in self.openings)

    def _allowed(self) -> str:
        shown = ", ".join(self.hosts[:HOSTS_SHOWN])
        more = len(self.hosts) - HOSTS_SHOWN
        allowed = f"{shown} and {more} more" if more > 0 else shown or "none"
        return (
            f"Allowed hosts of this environment: {allowed}. To reach it, list it in the"
            " environment's networking.allowed_hosts and start a new session."
        )


def policy_of(config: Mapping[str, Any]) -> Policy:
    """The policy that a sandbox's configuration spells."""
    return Policy(
        mode=str(config["mode"]),
        hosts=tuple(config["hosts"]),
        denied=tuple(config["denied"]),
        ports=tuple(config["ports"]),
        openings=tuple(opening(text) for text in config["openings"]),
        names={host_of(name): str(address) for name, address in config["names"].items()},
    )
