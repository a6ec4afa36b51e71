"""Which texts are masked, and that everything else stays as it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentstead.ids import RandomIds
from agentstead.log.redact import MASK, SESSIONS_MAX, Redactor, Redactors

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


def test_a_sessions_values_are_masked_in_that_session_only() -> None:
    redactors = Redactors(["platform-value"])
    redactors.keep("sesn_a", "an-ordinary-word")
    text = json.dumps({"content": "platform-value an-ordinary-word"})

    def shown(session_id: str) -> str:
        return str(json.loads(redactors.of(session_id).clean("user.message", text))["content"])

    assert shown("sesn_a") == f"{MASK} {MASK}"
    assert shown("sesn_b") == f"{MASK} an-ordinary-word"
    redactors.keep("sesn_b", "another-value")
    assert shown("sesn_b") == f"{MASK} an-ordinary-word"


def test_the_sessions_that_used_one_last_are_remembered() -> None:
    redactors = Redactors()
    for number in range(SESSIONS_MAX + 1):
        redactors.keep(f"sesn_{number}", "a-secret-value")
        redactors.keep("sesn_0", "a-secret-value")
    assert redactors.of("sesn_0").values == {"a-secret-value"}
    assert redactors.of("sesn_1").values == set()
    assert redactors.of(f"sesn_{SESSIONS_MAX}").values == {"a-secret-value"}
