"""Which texts are masked, and that everything else stays as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.ids import RandomIds
from agentstead.log.redact import MASK, Redactor

OUTPUT = "agent.tool_result"

KEYS = [
    "sk-ant-api03-" + "x" * 40,
    "sk-proj-" + "a1B2" * 12,
    "ghp_" + "a" * 36,
    "github_pat_" + "a" * 50,
    "glpat-" + "a" * 20,
    "xoxb-" + "1" * 24,
    "AKIA" + "A" * 16,
    "AIza" + "b" * 35,
    "-----BEGIN RSA PRIVATE KEY-----\nMII-Eabc\n-----END RSA PRIVATE KEY-----",
]
INNOCENT = [
    "sk-short", "task-runner-is-fine", "ghost_writer", "AKIA1", "the PRIVATE KEY is elsewhere",
    "https://example.org/sk-learn/docs",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_shapes_are_masked_in_outputs_only(key: str) -> None:
    text = json.dumps({"content": f"before {key} after"})
    assert json.loads(Redactor().clean(OUTPUT, text)) == {"content": f"before {MASK} after"}
    assert Redactor().clean("agent.tool_use", text) is text
    assert Redactor().clean("user.message", text) is text


@pytest.mark.parametrize("words", INNOCENT)
def test_ordinary_words_stay(words: str) -> None:
    text = json.dumps({"content": words})
    assert Redactor().clean(OUTPUT, text) == text


def test_short_values_are_no_secrets() -> None:
    assert Redactor(["pass"]).clean(OUTPUT, '{"a":"passage"}') == '{"a":"passage"}'


def test_ids_never_match() -> None:
    new = RandomIds().new
    text = json.dumps(
        [new(prefix) for prefix in ("sevt", "sesn", "sthr", "apikey") for _ in range(500)]
    )
    assert Redactor().clean(OUTPUT, text) == text


@given(st.text(min_size=8, max_size=40), st.text(), st.text(), st.booleans())
def test_a_registered_value_never_survives(
    value: str, before: str, after: str, ascii_only: bool
) -> None:
    text = json.dumps({"text": before + value + after}, ensure_ascii=ascii_only)
    clean = json.loads(Redactor([value]).clean("user.message", text))
    if value not in before + MASK + after:
        assert value not in clean["text"]
