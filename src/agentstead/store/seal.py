"""Secrets at rest: envelope encryption under keys that are not in the database.

Each secret has a key of its own (AES-256-GCM), which is wrapped by a master key of the key ring; the
context (whose secret, and which) is authenticated, so a sealed text moved to another row does not
open. Rotating the master key wraps the small keys anew and leaves the secrets' own text alone.

Sealed text: `v1.<master key id>.<wrapped key>.<secret>`, both parts nonce and ciphertext in base64.
"""

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode

from agentstead.errors import StoreFault
from agentstead.store.key_ring import KEY_BYTES, KeyRing

VERSION = "v1"
NONCE_BYTES = 12


class Seal:
    """Seals and opens secrets."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring

    def seal(self, context: str, secret: str) -> str:
        """`secret` as it may be stored; `context` must be given again to open it."""
        own = secrets.token_bytes(KEY_BYTES)
        key_id, master = self.ring.current()
        return ".".join(
            (VERSION, key_id, _lock(master, context, own), _lock(own, context, secret.encode()))
        )

    def open(self, context: str, sealed: str) -> str:
        """The secret. StoreFault: the key is not in the ring, or the text was changed or moved."""
        key_id, wrapped, body = _parts(sealed)
        own = _unlock(self._master(key_id), context, wrapped)
        return _unlock(own, context, body).decode()

    def rewrapped(self, context: str, sealed: str) -> str | None:
        """The same secret under the current master key; None when it is already."""
        key_id, wrapped, body = _parts(sealed)
        current, master = self.ring.current()
        if key_id == current:
            return None
        own = _unlock(self._master(key_id), context, wrapped)
        return ".".join((VERSION, current, _lock(master, context, own), body))

    def _master(self, key_id: str) -> bytes:
        master = self.ring.find(key_id)
        if master is None:
            raise StoreFault(
                f"A stored secret is sealed with master key {key_id}, which is not in "
                f"{self.ring.where}."
            )
        return master


def _parts(sealed: str) -> tuple[str, str, str]:
    parts = sealed.split(".")
    if len(parts) != 4 or parts[0] != VERSION:
        raise StoreFault("A stored secret is not in a form that this version can read.")
    return parts[1], parts[2], parts[3]


def _lock(key: bytes, context: str, plain: bytes) -> str:
    # Imported here: it costs every start 30 ms, and most starts seal nothing.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(NONCE_BYTES)
    return urlsafe_b64encode(nonce + AESGCM(key).encrypt(nonce, plain, context.encode())).decode()


def _unlock(key: bytes, context: str, text: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        raw = urlsafe_b64decode(text)
        return AESGCM(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode())
    except (InvalidTag, ValueError):
        raise StoreFault("A stored secret was changed, or belongs to another row.") from None
