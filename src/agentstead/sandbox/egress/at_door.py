"""What becomes of a message at a door: the credential goes out, and a redirect stays at the door."""

import h11

from agentstead.sandbox.egress.change import Unchanged
from agentstead.sandbox.egress.door import Door
from agentstead.sandbox.egress.headers import Headers, end_to_end, without

WITHHELD = (b"authorization", b"cookie")
"""Headers of the client's that do not go out."""


class AtDoor(Unchanged):
    """Of one request and its answer."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def request(self, request: h11.Request) -> Headers:  # type: ignore[explicit-override]
        """With the door's credential."""
        headers = without(end_to_end(request), *WITHHELD)
        if self._door.authorization:
            headers.append((b"Authorization", self._door.authorization.encode("ascii")))
        return headers

    def response(  # type: ignore[explicit-override]
        self, response: h11.Response | h11.InformationalResponse
    ) -> Headers:
        """A redirect to the same host leads to the door again."""
        secure = f"https://{self._door.name}/".encode("ascii")
        return [
            (name, self._door.inside.encode("ascii") + value[len(secure) :])
            if name.lower() == b"location" and value.lower().startswith(secure)
            else (name, value)
            for name, value in without(end_to_end(response), b"set-cookie")
        ]
