"""Secrets that every worker can unpack."""

import base64
import json

from agentstead.resources.work.secret import new_token, packed


def test_both_alphabets_agree_and_no_padding_is_needed() -> None:
    """Clients rule 42."""
    for _ in range(200):
        token = new_token()
        secret = packed(token)
        assert not set("+/-_=") & set(secret)
        for decode in (base64.b64decode, base64.urlsafe_b64decode):
            assert json.loads(decode(secret))["sessions_token"] == token


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000
