"""The proxy's address inside of a container, whose connections are carried to the worker on the relay's own line.

Nothing is decided here: the proxy that filters is where the worker is. What one side has not yet taken is
bounded per connection; the other is not read meanwhile.
"""

import base64
import selectors
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from agentstead.sandbox.supervisor.runner.outlet import ADDRESS, BACKLOG

WINDOW_BYTES = 256 << 10
PIECE_BYTES = 48 << 10
CONNECTIONS_MAX = 64


class Connection:
    """One program's connection to the proxy."""

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self.credit = WINDOW_BYTES
        """Bytes that the worker will still take."""
        self.waiting = bytearray()
        """What the program has not taken yet."""
        self.reads, self.closing = True, False


class Outlet:
    """All of them; part of the relay's loop."""

    def __init__(
        self, selector: selectors.BaseSelector, say: Callable[[dict[str, Any]], None]
    ) -> None:
        self._selector = selector
        self._say = say
        self._open: dict[int, Connection] = {}
        self._number = 0

    def listen(self) -> None:
        """Take connections from now on; another worker's relay may do so too."""
        listener = socket.socket()
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(ADDRESS)
        listener.listen(BACKLOG)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, lambda: self._accept(listener))

    def heard(self, message: dict[str, Any]) -> None:
        """What the worker says of one connection."""
        one = self._open.get(message["net"])
        if one is None:
            return
        if "data" in message:
            one.waiting += base64.b64decode(message["data"])
            self._flush(message["net"], one)
        elif "taken" in message:
            one.credit += message["taken"]
            self._watch(message["net"], one)
        elif "end" in message:
            one.closing = True
            self._flush(message["net"], one)
        else:
            self._close(message["net"], tell=False)

    def _accept(self, listener: socket.socket) -> None:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        if len(self._open) >= CONNECTIONS_MAX:
            link.close()
            return
        link.setblocking(False)
        self._number += 1
        one = self._open[self._number] = Connection(link)
        self._say({"net": self._number, "opened": True})
        self._watch(self._number, one)

    def _watch(self, number: int, one: Connection) -> None:
        events = selectors.EVENT_READ if one.reads and one.credit > 0 else 0
        events |= selectors.EVENT_WRITE if one.waiting else 0
        watched = one.link in self._selector.get_map()
        if watched:
            self._selector.unregister(one.link)
        if events:
            self._selector.register(one.link, events, lambda: self._ready(number, one))

    def _ready(self, number: int, one: Connection) -> None:
        if one.waiting:
            self._flush(number, one)
        if not one.reads or one.credit <= 0 or number not in self._open:
            return
        try:
            data = one.link.recv(min(PIECE_BYTES, one.credit))
        except BlockingIOError:
            return
        except OSError:
            self._close(number)
            return
        if data:
            one.credit -= len(data)
            self._say({"net": number, "data": base64.b64encode(data).decode()})
        else:
            one.reads = False
            self._say({"net": number, "end": True})
        self._settle(number, one)

    def _flush(self, number: int, one: Connection) -> None:
        try:
            sent = one.link.send(one.waiting) if one.waiting else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(number)
            return
        if sent:
            del one.waiting[:sent]
            self._say({"net": number, "taken": sent})
        if one.closing and not one.waiting:
            with suppress(OSError):
                one.link.shutdown(socket.SHUT_WR)
        self._settle(number, one)

    def _settle(self, number: int, one: Connection) -> None:
        if one.closing and not one.waiting and not one.reads:
            self._close(number)
        else:
            self._watch(number, one)

    def _close(self, number: int, *, tell: bool = True) -> None:
        one = self._open.pop(number)
        if one.link in self._selector.get_map():
            self._selector.unregister(one.link)
        one.link.close()
        if tell:
            self._say({"net": number, "gone": True})
