"""The workers' side of a supervisor: its socket, who is connected, and what they ask."""

import os
import selectors
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agentstead.sandbox.supervisor.frames import Frames, FrameTooLarge, pack
from agentstead.sandbox.supervisor.place import SOCKET, Place

LAST_SECONDS = 1.0
"""How long a worker may take to hear the last word of a supervisor that ends."""


@dataclass(eq=False)
class Client:
    """A worker's connection."""

    connection: socket.socket
    frames: Frames = field(default_factory=Frames)
    to_send: bytearray = field(default_factory=bytearray)


class Clients:
    """All of them; part of the supervisor's loop. Whoever asks nonsense is hung up on."""

    def __init__(
        self, selector: selectors.BaseSelector, asked: Callable[[Client, dict[str, Any]], None]
    ) -> None:
        self._selector = selector
        self._asked = asked

    def listen(self, place: Place) -> None:
        """From now on workers can reach us."""
        listener = socket.socket(socket.AF_UNIX)
        folder = os.open(place.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            (place.path / SOCKET).unlink(missing_ok=True)
            # the folder's path may be longer than a socket's address can be
            listener.bind(f"/proc/self/fd/{folder}/{SOCKET}")
        finally:
            os.close(folder)
        listener.listen(128)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def reply(self, client: Client, message: dict[str, Any]) -> None:
        """Send it, now or when there is room; fine when the client has gone."""
        client.to_send += pack(message)
        self._flush(client)

    def reply_last(self, client: Client, message: dict[str, Any]) -> None:
        """Send it before anything else happens: nothing can be sent later."""
        if client.connection.fileno() >= 0:
            client.connection.settimeout(LAST_SECONDS)
        self.reply(client, message)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        connection.setblocking(False)
        client = Client(connection)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._ready(client))

    def _ready(self, client: Client) -> None:
        self._flush(client)
        try:
            data = client.connection.recv(1 << 16)
            if not data:
                raise ConnectionResetError
            for message in client.frames.feed(data):
                self._asked(client, message)
        except BlockingIOError:
            return
        except (OSError, FrameTooLarge, ValueError, KeyError, TypeError, AttributeError):
            self._hang_up(client)

    def _hang_up(self, client: Client) -> None:
        if client.connection.fileno() >= 0:
            self._selector.unregister(client.connection)
            client.connection.close()

    def _flush(self, client: Client) -> None:
        if client.connection.fileno() < 0:
            return
        try:
            while client.to_send:
                del client.to_send[: client.connection.send(client.to_send)]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up(client)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.to_send else 0)
        self._selector.modify(client.connection, events, lambda: self._ready(client))
