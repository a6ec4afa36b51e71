"""A connection from inside: its requests one after the other, each decided, reported and carried out."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol

import h11

from agentstead.sandbox.egress import tunnel
from agentstead.sandbox.egress.at_door import AtDoor
from agentstead.sandbox.egress.dial import Connected, Denied, Dialer, Unreachable
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.egress.exchange import Exchange
from agentstead.sandbox.egress.meter import Exhausted
from agentstead.sandbox.egress.policy import Denial
from agentstead.sandbox.egress.stream import Stream
from agentstead.sandbox.egress.target import (
    TLS_PORT,
    BadTarget,
    Target,
    plain_target,
    tunnel_target,
)

HEAD_SECONDS = 20.0
"""For a request's first lines, however slowly they come."""
METHOD_MAX = 32
BAD_GATEWAY = 502

Say = Callable[[dict[str, Any]], None]


class Opener(Protocol):
    """Ends the TLS of tunnels to hosts that credentials are for."""

    async def concerns(self, host: str) -> bool:
        """Whether it is one of those; raises Unreachable."""
        ...

    async def talk(self, stream: Stream, hello: bytes, target: Target, far: Connected) -> None:
        """Carry out what the client asks for inside its tunnel, until one of the two has had enough."""
        ...


class Conversation:
    """One connection of a program inside."""

    def __init__(
        self,
        stream: Stream,
        dialer: Dialer,
        say: Say,
        *,
        limited: bool,
        head_bytes: int,
        opener: Opener | None = None,
        door: Door | None = None,
    ) -> None:
        self._door = door
        self._stream = stream
        self._dialer = dialer
        self._say = say
        self._limited = limited
        self._head_bytes = head_bytes
        self._opener = opener
        self._opens = False
        """Whether the tunnel that was asked for is one to be opened."""
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=head_bytes)

    async def run(self) -> None:
        """Until one of the two has had enough."""
        while await self._one():
            self._http.start_next_cycle()

    async def refuse(self, denial: Denial) -> None:
        """Answer with why not."""
        await self._answer(denial)

    async def _one(self) -> bool:
        """One request; whether the connection can take another."""
        self._stream.patience(HEAD_SECONDS)
        method, target = "", None
        try:
            request = await self._request()
            if request is None:
                return False
            method = request.method.decode("ascii")[:METHOD_MAX]
            self._stream.meter.check()
            target = self._target(request)
            self._stream.patience(self._stream.idle_seconds)
            far = await self._reach(request, target)
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            denial = Denial("malformed", f"This request is not HTTP/1.1: {error}.", status)
        except BadTarget as error:
            denial = Denial("malformed", str(error), error.status)
        except Exhausted:
            denial = self._exhausted()
        except (Denied, Unreachable) as error:
            denial = error.denial
        else:
            return await self._carry_out(request, target, far)
        self._report(method, target, denial=denial)
        await self._answer(denial)
        return False

    async def _request(self) -> h11.Request | None:
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._check(event)
                return event
            if event is not h11.NEED_DATA:
                return None
            data = await self._stream.from_client()
            self._http.receive_data(data)

    def _check(self, request: h11.Request) -> None:
        """What h11 lets pass and two readers could read differently."""
        names = {name for name, _ in request.headers}
        if b"transfer-encoding" in names:
            if b"content-length" in names:
                raise BadTarget("A request has a length or comes in chunks, not both.")
            if request.http_version < b"1.1":
                raise BadTarget("Chunks came with HTTP/1.1; this request says it is older.")

    def _target(self, request: h11.Request) -> Target:
        if self._door is not None:
            target = plain_target(request.target, None)
            if refusal := self._door.refusal(request.method, target):
                raise BadTarget(refusal)
            return replace(target, secure=True)
        if request.method == b"CONNECT":
            return tunnel_target(request.target)
        hosts = [value for name, value in request.headers if name == b"host"]
        return plain_target(request.target, hosts[0] if hosts else None)

    async def _reach(self, request: h11.Request, target: Target) -> Connected:
        """A connection to where it goes; raises Denied and Unreachable."""
        if self._opener is not None and request.method == b"CONNECT":
            self._opens = await self._opener.concerns(target.host)
        return await self._dialer.connect(target)

    async def _carry_out(self, request: h11.Request, target: Target, far: Connected) -> bool:
        self._report(request.method.decode("ascii")[:METHOD_MAX], target, far=far)
        self._stream.toward(far.writer)
        try:
            if request.method == b"CONNECT":
                await self._tunnel(target, far)
                return False
            change = None if self._door is None else AtDoor(self._door)
            exchange = Exchange(self._stream, self._http, far, self._head_bytes, change)
            return await self._guarded(exchange, exchange.run(request, target), target)
        finally:
            self._stream.toward(None)
            far.writer.transport.abort()

    async def _tunnel(self, target: Target, far: Connected) -> None:
        first, _ = self._http.trailing_data
        named = self._limited and target.port == TLS_PORT
        try:
            data = await tunnel.open_tunnel(self._stream, first, target, named)
        except Denied as error:
            self._report("CONNECT", target, denial=error.denial)
            await tunnel.refuse_name(self._stream)
            return
        if self._opens and self._opener is not None:
            data, name = await tunnel.first_words(self._stream, data, far)
            # a hello for another host is not for the credentials of this one
            if name is not None and name.rstrip(".").lower() in ("", target.host):
                await self._opener.talk(self._stream, data, target, far)
                return
        await tunnel.pump(self._stream, data, far)

    async def _guarded(self, exchange: Exchange, running: Awaitable[None], target: Target) -> bool:
        try:
            await running
        except Unreachable as error:
            denial = error.denial
        except h11.RemoteProtocolError as error:
            denial = Denial("malformed", f"This request is not HTTP/1.1: {error}.", 400)
        except Exhausted:
            denial = self._exhausted()
        else:
            return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        self._report("", target, denial=denial)
        if not exchange.answered:
            await self._answer(denial)
        return False

    async def _answer(self, denial: Denial) -> None:
        """The sentence as an answer; it ends the connection, as its request may not be read to the end."""
        body = denial.sentence.encode() + b"\n"
        line = denial.sentence.encode("ascii", "replace").decode("ascii")
        reason = "".join(one if one.isprintable() else "?" for one in line)[:300]
        # through a door 403 is the host's own word
        status = BAD_GATEWAY if self._door is not None and denial.status == 403 else denial.status
        head = [
            f"HTTP/1.1 {status} {reason}",
            f"X-Agentstead-Denied: {denial.reason}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
            "",
            "",
        ]
        await self._stream.last_words("\r\n".join(head).encode("ascii") + body)

    def _exhausted(self) -> Denial:
        meter = self._stream.meter
        return Denial(
            "bytes",
            f"This sandbox has moved the {meter.bytes_max >> 20} MiB that it may move in an hour;"
            f" the network works again in about {meter.minutes_left()} min.",
        )

    def _report(
        self,
        method: str,
        target: Target | None,
        *,
        far: Connected | None = None,
        denial: Denial | None = None,
        credentials: str = "",
    ) -> None:
        decision = "allowed" if denial is None else "failed" if denial.failed else "denied"
        record = {
            "decision": decision,
            "reason": denial.reason if denial else "",
            "method": method,
            "host": target.host if target else "",
            "port": target.port if target else 0,
            "address": far.address if far else None,
        }
        self._say(record | ({"credentials": credentials} if credentials else {}))
