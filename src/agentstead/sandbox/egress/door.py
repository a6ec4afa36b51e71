"""The one way out of a sandbox that checks a repository out: Git's own protocol, reading, to one host.

Inside, Git asks in plain HTTP. What goes out is TLS, with a credential that nothing inside ever sees:
it is in no argument, file, variable or memory of a process there.
"""

import ssl
from dataclasses import dataclass, field
from typing import Any

from agentstead.sandbox.egress.target import TLS_PORT, Target

REFS = "/info/refs?service=git-upload-pack"
PACK = "/git-upload-pack"


@dataclass(frozen=True, slots=True)
class Door:
    """Where it leads, and with which credential."""

    host: str
    port: int = TLS_PORT
    authorization: str = field(default="", repr=False)
    """The value of an `Authorization` header; empty: none is sent."""
    authorities: str = field(default="", repr=False)
    """Certificates (PEM) that are trusted beside those of this system."""

    @staticmethod
    def of(config: dict[str, Any]) -> "Door":
        """From a sandbox's configuration."""
        return Door(**config)

    @property
    def name(self) -> str:
        """The host as URLs and `Host` headers write it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == TLS_PORT else f"{host}:{self.port}"

    @property
    def inside(self) -> str:
        """What URLs begin with, inside."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def refusal(self, method: bytes, target: Target) -> str:
        """Why a request does not go through; empty when it does."""
        if (target.host, target.port) != (self.host, self.port):
            return f"Only {self.name} can be reached while a repository is checked out."
        read = (method == b"GET" and target.path.endswith(REFS)) or (
            method == b"POST" and target.path.endswith(PACK)
        )
        return "" if read else "Only reading with Git's own protocol is possible here."

    def context(self) -> ssl.SSLContext:
        """Whom to believe."""
        context = ssl.create_default_context()
        if self.authorities:
            context.load_verify_locations(cadata=self.authorities)
        return context
