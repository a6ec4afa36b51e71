"""The secret of a work item: a token for one session, packed as workers unpack it.

Programs disagree on the alphabet of base64 (clients rule 42), so the text is made of characters
whose base64 has neither `+ /` nor `- _`, and of a length that needs no padding. Any ASCII text
without `>`, `?` and `~` is: only they have the six bits 62 or 63.
"""

import base64
import json
import secrets

from agentstead.api.auth import ITEM_PREFIX
from agentstead.ids import ALPHABET

CHARACTERS = 48


def new_token() -> str:
    """A token that nobody can guess: 285 bits."""
    return ITEM_PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(CHARACTERS))


def packed(token: str) -> str:
    """The `secret` of a poll's answer."""
    text = json.dumps({"sessions_token": token}, separators=(",", ":"))
    text += " " * (-len(text) % 3)
    return base64.urlsafe_b64encode(text.encode()).decode()
