"""Carries requests from a worker, wherever it is, to the sandbox: started by the engine in the container, it
speaks frames on its standard input and output, many requests at once.

Each request has a number `n`, and so has its reply. `ask` goes to the supervisor; the rest is about files
and is done here, one after the other. It ends with its input.
"""

import os
import selectors
import socket
import sys
from typing import Any

from agentstead.errors import SandboxFault
from agentstead.sandbox.guest.desk import Desk
from agentstead.sandbox.guest.outlet import Outlet
from agentstead.sandbox.guest.place import guest_place
from agentstead.sandbox.supervisor.frames import Frames, FrameTooLarge, pack
from agentstead.sandbox.supervisor.place import SOCKET, Place

READ_BYTES = 1 << 18


class Relay:
    """One worker's way to one sandbox."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.desk = Desk(place)
        self.selector = selectors.DefaultSelector()
        self.outlet = Outlet(self.selector, self.say)
        self.frames = Frames()
        self.selector.register(0, selectors.EVENT_READ, self.from_worker)

    def serve(self) -> None:
        """Until the worker hangs up."""
        while True:
            for key, _ in self.selector.select():
                if key.fd in self.selector.get_map():
                    key.data()

    def from_worker(self) -> None:
        """Take what it asks."""
        data = os.read(0, READ_BYTES)
        if not data:
            os._exit(0)
        for message in self.frames.feed(data):
            if "net" in message:
                self.outlet.heard(message)
            elif message["do"] == "ask":
                self.ask(message["n"], message["request"])
            else:
                self.reply(message["n"], self.done(message))

    def reply(self, number: int, reply: Any) -> None:
        """Answer one request."""
        self.say({"n": number, "reply": reply})

    def say(self, message: dict[str, Any]) -> None:
        """Tell the worker something."""
        rest = memoryview(pack(message))
        while rest:
            rest = rest[os.write(1, rest) :]

    def done(self, message: dict[str, Any]) -> dict[str, Any]:
        """Do what concerns files."""
        try:
            if message["do"] == "listen":
                self.outlet.listen()
                return {}
            return self.desk.serve(message)
        except SandboxFault as fault:
            return {"error": fault.message, "kind": fault.kind}
        except OSError as error:
            return {"error": error.strerror or str(error), "kind": "start"}

    def ask(self, number: int, request: dict[str, Any]) -> None:
        """Hand a request to the supervisor. Its reply: None when nobody listens, nothing in it when they hung up."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.place.path / SOCKET))
            connection.sendall(pack(request))
        except OSError:
            connection.close()
            self.reply(number, None)
            return
        connection.setblocking(False)
        frames = Frames()
        self.selector.register(
            connection,
            selectors.EVENT_READ,
            lambda: self.from_supervisor(connection, frames, number),
        )

    def from_supervisor(self, connection: socket.socket, frames: Frames, number: int) -> None:
        """Pass on what it says; one reply is all there is."""
        try:
            data = connection.recv(READ_BYTES)
            replies = list(frames.feed(data)) if data else [{}]
        except BlockingIOError:
            return
        except (OSError, FrameTooLarge, ValueError):
            replies = [{}]
        if replies:
            self.selector.unregister(connection)
            connection.close()
            self.reply(number, replies[0])


def main(sandbox_id: str) -> None:
    """Serve one worker."""
    os.umask(0o022)
    try:
        Relay(guest_place(sandbox_id)).serve()
    except (BrokenPipeError, FrameTooLarge, ValueError, KeyError) as error:
        sys.exit(f"the worker cannot be understood: {error!r}")
