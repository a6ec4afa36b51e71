"""The operator's side of a sandbox's network: what holds for every sandbox of this platform, and the
configuration of an egress proxy that comes of it together with what one environment allows."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from agentstead.sandbox.managers import PackageHosts
from agentstead.sandbox.sandbox import Network

LIBRARIES = ("h11", "cryptography", "_cffi_backend")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one sandbox may use of its proxy."""

    connections_max: int = 64
    idle_seconds: float = 300.0
    head_bytes_max: int = 64 << 10


@dataclass(frozen=True, slots=True)
class Egress:
    """What the operator decides."""

    ports: tuple[int, ...] = (80, 443)
    openings: tuple[str, ...] = ()
    """Addresses beyond the public internet that sandboxes may reach, with a port or without."""
    denied: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """Names with an address of the operator's choosing."""
    upstream: str = ""
    """The URL of a proxy that everything public goes through."""
    package_hosts: tuple[str, ...] = ()
    """Beside those that the installed package managers name."""
    authorities: str = ""
    """Certificates (PEM) of authorities that sandboxes trust beside the system's."""
    bytes_per_hour_max: int = 10 << 30
    bounds: Bounds = Bounds()

    @property
    def words(self) -> str:
        """For a person: what kind of network this is."""
        through = ", through the operator's proxy" if self.upstream else ""
        opened = f", and {', '.join(self.openings)}" if self.openings else ""
        return f"filtered: HTTP and HTTPS to public hosts{opened}{through}"


async def proxy_config(
    network: Network,
    egress: Egress | None,
    managers: PackageHosts,
    image_hosts: Sequence[str] = (),
) -> dict[str, Any] | None:
    """What a supervisor needs to give a sandbox its network; None: it has none.

    `image_hosts`: where the package managers of its image look.
    """
    if egress is None or network.mode == "none":
        return None
    hosts = list(network.hosts)
    if network.package_managers:
        hosts += [*egress.package_hosts, *image_hosts, *await managers.hosts()]
    door = network.door
    return {
        "door": asdict(door) if door else None,
        "policy": {
            "mode": network.mode,
            "hosts": list(dict.fromkeys(hosts)),
            "denied": list(egress.denied),
            "ports": [door.port] if door else list(egress.ports),
            "openings": list(egress.openings),
            "names": dict(egress.names),
        },
        "bounds": asdict(egress.bounds),
        "bytes_max": egress.bytes_per_hour_max,
        "upstream": egress.upstream,
        "libraries": _libraries(),
        **_trusted(egress, network.credentials),
    }


def _trusted(egress: Egress, credentials: bool) -> dict[str, Any]:
    """Whom programs inside trust beside the system's authorities; with credentials also the proxy,
    as an authority that is this sandbox's own."""
    if not credentials:
        return {"authorities": egress.authorities}
    from agentstead.sandbox.egress.authority import made  # it costs a start without it 30 ms

    own = made()
    return {
        "authorities": "\n".join(filter(None, (egress.authorities, own.certificate))),
        "edge": {**own._asdict(), "authorities": egress.authorities},
    }


def _libraries() -> list[str]:
    """The folders its libraries lie in: the proxy is started without any path but its own."""
    folders = []
    for name in LIBRARIES:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        folder = origin.parent.parent if origin.stem == "__init__" else origin.parent
        folders.append(str(folder))
    return list(dict.fromkeys(folders))
