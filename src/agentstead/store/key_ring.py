"""The master keys under which secrets are sealed: in a 0600 file of the data directory, or handed in.

Promises: the first key seals, the others only open; a file is made at the first need of it and never
overwritten by two processes at once; a process sees a key that another one added.

Form, in the file a key per line and in the setting separated by commas: `<id>:<32 bytes in base64>`.
"""

import fcntl
import os
import secrets
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentstead.errors import Misconfigured
from agentstead.store.data_dir import write_private

KEY_FILE = "seal-keys"
KEY_BYTES = 32
ID_CHARACTERS = 8
SETTING = "AGENTSTEAD_SEAL_KEYS"

Keys = dict[str, bytes]


class KeyRing:
    """Master keys by id, newest first."""

    def __init__(self, path: Path, given: str | None = None) -> None:
        self.path = path
        self.fixed = None if given is None else read(given.split(","), SETTING)
        """The keys of the setting; the file is not looked at then."""
        self.keys: Keys = self.fixed or {}
        self.stamp: tuple[int, int] | None = None

    @property
    def where(self) -> str:
        """Where the keys are, for messages."""
        return SETTING if self.fixed is not None else str(self.path)

    def current(self) -> tuple[str, bytes]:
        """The key that seals, with its id; the file is made when there is none."""
        self.refresh()
        if not self.keys:
            with self._alone():
                self.refresh()
                if not self.keys:
                    self._write(fresh())
        return next(iter(self.keys.items()))

    def find(self, key_id: str) -> bytes | None:
        """The key with this id."""
        if key_id not in self.keys:
            self.refresh()
        return self.keys.get(key_id)

    def add(self) -> str:
        """A new key that seals from now on; its id. Misconfigured when the keys are a setting's."""
        if self.fixed is not None:
            raise Misconfigured(
                f"The master keys come from {SETTING}; put a new one in front of it there.\n"
                f"For example: {next(f'{name}:{b64encode(key).decode()}' for name, key in fresh().items())}"
            )
        with self._alone():
            self.refresh()
            added = fresh()
            self._write({**added, **self.keys})
        return next(iter(added))

    def drop_old(self) -> list[str]:
        """Forget all keys but the one that seals; the ids of those forgotten."""
        if self.fixed is not None:
            raise Misconfigured(
                f"The master keys come from {SETTING}; take the old ones out there."
            )
        with self._alone():
            self.refresh()
            first, *old = self.keys
            self._write({first: self.keys[first]})
        return old

    def refresh(self) -> None:
        """Read the file again when it has changed."""
        if self.fixed is not None:
            return
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return
        stamp = (state.st_mtime_ns, state.st_ino)
        if stamp != self.stamp:
            self.keys = read(self.path.read_text().splitlines(), str(self.path))
            self.stamp = stamp

    def _write(self, keys: Keys) -> None:
        lines = [f"{name}:{b64encode(key).decode()}\n" for name, key in keys.items()]
        write_private(self.path, "".join(lines))
        self.refresh()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One process at a time changes the file."""
        handle = os.open(
            self.path.with_name(f".{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def fresh() -> Keys:
    """A new key under a new id."""
    return {secrets.token_hex(ID_CHARACTERS // 2): secrets.token_bytes(KEY_BYTES)}


def read(lines: list[str], where: str) -> Keys:
    """Keys from their text; Misconfigured says what is wrong, without showing a key."""
    keys: Keys = {}
    for place, line in enumerate((line.strip() for line in lines), 1):
        if not line:
            continue
        name, _, text = line.partition(":")
        try:
            key = b64decode(text, validate=True)
        except ValueError:
            key = b""
        if not name.isalnum() or len(key) != KEY_BYTES or name in keys:
            raise Misconfigured(
                f"{where}: master key {place} cannot be used.\n"
                f"Each is <id>:<{KEY_BYTES} random bytes in base64>, the ids letters and digits and all "
                "different."
            )
        keys[name] = key
    if not keys:
        raise Misconfigured(f"{where} holds no master key.")
    return keys
