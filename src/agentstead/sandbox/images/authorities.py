"""The certificate authorities that this machine's administrator added: what looks into its traffic, a mirror
of the house. Sandboxes go out through this machine, so an image has to know them too."""

import re
from pathlib import Path

ADDED = (Path("/usr/local/share/ca-certificates"), Path("/etc/pki/ca-trust/source/anchors"))
"""Where systems look for them: Debian and Alpine, Red Hat."""
CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII
)
FILE_BYTES_MAX = 1 << 20


def added() -> list[str]:
    """Their certificates (PEM), each once; nothing else that lies in those files."""
    found: dict[str, None] = {}
    for folder in ADDED:
        for file in sorted(folder.rglob("*")) if folder.is_dir() else ():
            try:
                with file.open("rb") as source:
                    text = source.read(FILE_BYTES_MAX).decode("ascii", "replace")
            except OSError:
                continue
            found |= dict.fromkeys(CERTIFICATE.findall(text))
    return list(found)
