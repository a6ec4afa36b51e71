"""The listener on the proxy's place, inside: says in one sentence that there is no network here."""

from __future__ import annotations

import selectors
import socket
import time

from agentstead.sandbox.supervisor.runner.outlet import ADDRESS

CONNECTIONS_MAX = 64
HEAD_BYTES_MAX = 64 << 10
PATIENCE_SECONDS = 5.0
SENTENCE = "This sandbox has no network access; nothing outside of it can be reached."
ANSWER = (
    "HTTP/1.1 403 This sandbox has no network access\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    f"Content-Length: {len(SENTENCE) + 1}\r\n"
    "Connection: close\r\n\r\n"
    f"{SENTENCE}\n"
).encode()


class Refusal:
    """Answers every request on the proxy's address with the sentence; part of the runner's loop."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._open: dict[socket.socket, float] = {}
        self._heads: dict[socket.socket, bytes] = {}
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(ADDRESS)
        self._listener.listen(CONNECTIONS_MAX)
        self._listener.setblocking(False)
        selector.register(self._listener, selectors.EVENT_READ, self._accept)

    def next_deadline(self) -> float | None:
        """When `expire` wants to be called."""
        return min(self._open.values(), default=None)

    def expire(self, now: float) -> None:
        """Hang up on who says nothing."""
        for connection, deadline in list(self._open.items()):
            if deadline <= now:
                self._close(connection)

    def forget(self) -> None:
        """In a forked child: let go of the sockets."""
        for connection in [self._listener, *self._open]:
            connection.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        if len(self._open) >= CONNECTIONS_MAX:
            connection.close()
            return
        connection.setblocking(False)
        self._open[connection] = time.monotonic() + PATIENCE_SECONDS
        self._heads[connection] = b""
        self._selector.register(
            connection, selectors.EVENT_READ, lambda: self._received(connection)
        )

    def _received(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(65536)
            if not data:
                self._close(connection)
                return
            if connection not in self._heads:
                return  # answered: what still comes is the body of the request
            self._heads[connection] += data
            head = self._heads[connection]
            if b"\r\n\r\n" in head or len(head) > HEAD_BYTES_MAX:
                del self._heads[connection]
                connection.send(ANSWER)
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)

    def _close(self, connection: socket.socket) -> None:
        self._selector.unregister(connection)
        self._open.pop(connection, None)
        self._heads.pop(connection, None)
        connection.close()
