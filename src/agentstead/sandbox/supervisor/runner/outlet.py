"""The proxy's address, inside: a socket made here and served from outside.

A socket stays in the network namespace it was made in, whoever holds it. So it is made inside, on
loopback, and handed out to the supervisor: the proxy takes connections of this sandbox and of no
other, and nothing has to be carried in here.
"""

from __future__ import annotations

import array
import socket

ADDRESS = ("127.0.0.1", 3128)
BACKLOG = 64


def hand_over(channel: socket.socket, message: bytes) -> None:
    """Listen, and send `message` with the listening socket; nothing of it is kept."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(ADDRESS)
        listener.listen(BACKLOG)
        rights = array.array("i", [listener.fileno()])
        channel.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
