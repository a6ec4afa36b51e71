"""The way out of a sandbox, from the supervisor's side: keeps the socket that listens inside, starts the
egress proxy when somebody connects, and writes down what it decides.

The socket was made inside, so only that sandbox can reach it; the proxy gets it by descriptor. It is
a process of its own in the sandbox's control groups, as the sandbox's user: what it uses is the
sandbox's, and no other sandbox waits for it. A proxy that ends is started again by the next connection.
"""

import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agentstead.sandbox.supervisor.limits import Control
from agentstead.sandbox.supervisor.place import Place
from agentstead.sandbox.supervisor.spool import Spool
from agentstead.sandbox.supervisor.way import way_to_platform

PROXY = Path(__file__).parent.parent / "egress" / "__main__.py"
FREE_DESCRIPTORS = 20
"""From here on, so that none is one of those that the proxy gets."""
QUICK_SECONDS = 2.0
FAILURES_MAX = 3
"""So many quick ends in a row, and connections are answered without a proxy for a while."""
PAUSE_SECONDS = 10.0
LINE_BYTES_MAX = 16 << 10
BROKEN = "The network of this sandbox does not work at the moment; the operator's log says why."
ANSWER = (
    "HTTP/1.1 502 The network of this sandbox does not work at the moment\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    f"Content-Length: {len(BROKEN) + 1}\r\n"
    f"Connection: close\r\n\r\n{BROKEN}\n"
).encode()


class Gate:
    """One sandbox's way out; part of the supervisor's loop."""

    def __init__(
        self,
        config: dict[str, Any],
        uid: int,
        control: Control,
        selector: selectors.BaseSelector,
        spool: Spool,
        call_id: Callable[[], str],
        way: Callable[[], socket.socket | None] = lambda: None,
    ) -> None:
        self._config = config
        self._way = way
        self._uid = uid
        self._control = control
        self._selector = selector
        self._spool = spool
        self._call_id = call_id
        self._listener: socket.socket | None = None
        self._pid = 0
        self._channel: socket.socket | None = None
        self._line = b""
        self._started = 0.0
        self._failures = 0
        self._used = 0
        self._began = 0.0

    def open(self, listener: socket.socket) -> None:
        """From now on connections are taken."""
        self._listener = listener
        listener.setblocking(False)
        self._wait()

    def take_name(self, place: Place) -> None:
        """What is decided from now on is another sandbox's."""
        self._spool = Spool(place.root, place.sandbox_id)

    def drain(self) -> None:
        """Hear what the proxy has said so far, and write it down."""
        ran = self._channel is not None
        while self._channel is not None and self._hear():
            pass
        if ran and self._channel is None:
            self._wait()
        self._spool.write()

    def end(self) -> None:
        """End the proxy; whoever uses it is cut off."""
        while self._channel is not None and self._hear():
            pass
        self._gone()
        self._spool.write()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _wait(self) -> None:
        if self._listener is not None:
            self._selector.register(self._listener, selectors.EVENT_READ, self._wanted)

    def _wanted(self) -> None:
        """Somebody inside connects."""
        assert self._listener is not None
        if self._failures >= FAILURES_MAX:
            if time.monotonic() - self._started < PAUSE_SECONDS:
                self._apologise()
                return
            self._failures = 0
        self._selector.unregister(self._listener)
        try:
            self._start(self._listener)
        except OSError as error:
            self._failures = FAILURES_MAX
            self._started = time.monotonic()
            sys.stderr.write(f"the egress proxy cannot be started: {error}\n")
            self._wait()

    def _start(self, listener: socket.socket) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        config = os.memfd_create("config", os.MFD_CLOEXEC)
        given = {
            **self._config,
            "uid": self._uid,
            "parent": os.getpid(),
            "used": self._used,
            "began": self._began,
        }
        os.write(config, json.dumps(given).encode())
        os.lseek(config, 0, os.SEEK_SET)
        handed = spawn(
            {0: config, 3: listener.fileno(), 4: theirs.fileno()}, self._config["libraries"]
        )
        os.close(config)
        theirs.close()
        self._pid, self._channel, self._line = handed, ours, b""
        self._started = time.monotonic()
        ours.setblocking(False)
        self._selector.register(ours, selectors.EVENT_READ, self._from_proxy)
        try:
            self._control.add(self._pid)
        except OSError as error:
            # unlimited it must not run: its end is heard of like any other, and is not tried for ever
            os.kill(self._pid, signal.SIGKILL)
            sys.stderr.write(f"the egress proxy cannot be limited: {error}\n")

    def _from_proxy(self) -> None:
        self._hear()
        if self._channel is None:
            self._wait()

    def _hear(self) -> bool:
        """Read once; whether there may be more."""
        assert self._channel is not None
        try:
            data = self._channel.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._gone()
            return False
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._line) > LINE_BYTES_MAX:
            self._line = b""
        return True

    def _take(self, line: bytes) -> None:
        try:
            record = json.loads(line)
            if "sent" in record:
                moved = int(record["sent"]) + int(record["received"])
                same = float(record["began"]) == self._began
                self._began = float(record["began"])
                self._used = self._used + moved if same else moved
        except (ValueError, KeyError, TypeError):
            return
        if "way" in record:
            self._hand_way()
        else:
            self._spool.add(record, self._call_id())

    def _hand_way(self) -> None:
        """Hand on a way to the platform, where secrets are; what goes over it we do not see."""
        assert self._channel is not None
        way = self._way()
        try:
            if way is None:
                self._channel.send(b"-")
            else:
                with way:
                    socket.send_fds(self._channel, [b"+"], [way.fileno()])
        except OSError as error:
            sys.stderr.write(f"the egress proxy was not handed its way: {error}\n")

    def _gone(self) -> None:
        if self._channel is not None:
            if self._channel in self._selector.get_map():
                self._selector.unregister(self._channel)
            self._channel.close()
            self._channel = None
        if self._pid:
            # whatever it is at, nobody waits for it; if it ended by itself this changes nothing
            os.kill(self._pid, signal.SIGKILL)
            _, status = os.waitpid(self._pid, 0)
            self._pid = 0
            quick = time.monotonic() - self._started < QUICK_SECONDS
            self._failures = self._failures + 1 if status and quick else 0

    def _apologise(self) -> None:
        assert self._listener is not None
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.setblocking(False)
                connection.recv(1 << 16)
                connection.send(ANSWER)
        except OSError:
            return


def gate_of(
    config: dict[str, Any],
    place: Place,
    control: Control,
    selector: selectors.BaseSelector,
    call_id: Callable[[], str],
) -> Gate | None:
    """The way out, where the sandbox has a network."""
    if not config.get("network"):
        return None
    spool = Spool(place.root, place.sandbox_id)
    uid = place.meta().get("uid", 0)

    def way() -> socket.socket | None:
        return way_to_platform(place.root, place.sandbox_id)

    return Gate(config["network"], uid, control, selector, spool, call_id, way)


def spawn(descriptors: dict[int, int], libraries: list[str]) -> int:
    """Start the proxy with these descriptors (its number → ours) and what we write errors to."""
    words = [sys.executable, "-I", "-S", str(PROXY), *libraries]
    copies = {
        number: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, FREE_DESCRIPTORS)
        for number, ours in descriptors.items()
    }
    actions = [(os.POSIX_SPAWN_DUP2, copy, number) for number, copy in copies.items()]
    try:
        return os.posix_spawn(sys.executable, words, {}, file_actions=actions)
    finally:
        for copy in copies.values():
            os.close(copy)
