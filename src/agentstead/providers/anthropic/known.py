"""What is publicly known of Claude models. Data; a name that is not here gets a cautious default.

What they cost is in `providers/prices.py`. A model whose thinking needs a budget of tokens is asked
without thinking, as its API does by default.
"""

from dataclasses import replace

from agentstead.providers.provider import Capabilities

LOW_TO_HIGH = ("low", "medium", "high")
WITHOUT_XHIGH = (*LOW_TO_HIGH, "max")
ALL = (*LOW_TO_HIGH, "xhigh", "max")
BOTH = ("standard", "fast")

MILLION = 1_000_000


def small(display_name: str, line: str, released: str) -> Capabilities:
    """A model of the 4.5 generation."""
    return Capabilities(
        display_name,
        context_window=200_000,
        max_output_tokens=64_000,
        thinking="budget",
        line=line,
        released=released,
    )


def large(
    display_name: str, line: str, released: str | None = None, *, system: bool = True
) -> Capabilities:
    """A model that decides itself how much to think."""
    return Capabilities(
        display_name,
        context_window=MILLION,
        max_output_tokens=128_000,
        efforts=ALL,
        mid_conversation_system=system,
        thinking="adaptive",
        line=line,
        released=released,
    )


MODELS: dict[str, Capabilities] = {
    "claude-fable-5-2": replace(large("Claude Fable 5.2", "fable"), speeds=BOTH, thinking="always"),
    "claude-mythos-5-2": replace(
        large("Claude Mythos 5.2", "mythos"), speeds=BOTH, thinking="always"
    ),
    "claude-haiku-5-5": replace(large("Claude Haiku 5.5", "haiku"), default_effort="medium"),
    "claude-sonnet-5-5": large("Claude Sonnet 5.5", "sonnet"),
    "claude-opus-5-5": replace(
        large("Claude Opus 5.5", "opus"), default_effort="medium", speeds=BOTH, thinking="always"
    ),
    "claude-fable-5-1": replace(large("Claude Fable 5.1", "fable"), thinking="always"),
    "claude-mythos-5-1": replace(large("Claude Mythos 5.1", "mythos"), thinking="always"),
    "claude-opus-5": replace(large("Claude Opus 5", "opus", "2026-07-24"), speeds=BOTH),
    "claude-sonnet-5": large("Claude Sonnet 5", "sonnet", "2026-06-30", system=False),
    "claude-fable-5": replace(large("Claude Fable 5", "fable", "2026-06-09"), thinking="always"),
    "claude-mythos-5": replace(large("Claude Mythos 5", "mythos", "2026-06-09"), thinking="always"),
    "claude-opus-4-8": replace(large("Claude Opus 4.8", "opus", "2026-05-28"), speeds=BOTH),
    "claude-opus-4-7": large("Claude Opus 4.7", "opus", "2026-04-16", system=False),
    "claude-mythos-preview": replace(
        large("Claude Mythos Preview", "mythos", system=False),
        efforts=WITHOUT_XHIGH,
        thinking="always",
        lifecycle="retired",
        retires="2026-06-30",
    ),
    "claude-sonnet-4-6": replace(
        large("Claude Sonnet 4.6", "sonnet", "2026-02-17", system=False),
        efforts=WITHOUT_XHIGH,
        max_output_tokens=64_000,
    ),
    "claude-opus-4-6": replace(
        large("Claude Opus 4.6", "opus", "2026-02-05", system=False), efforts=WITHOUT_XHIGH
    ),
    "claude-opus-4-5": replace(small("Claude Opus 4.5", "opus", "2025-11-24"), efforts=LOW_TO_HIGH),
    "claude-haiku-4-5": small("Claude Haiku 4.5", "haiku", "2025-10-15"),
    "claude-sonnet-4-5": replace(
        small("Claude Sonnet 4.5", "sonnet", "2025-09-29"),
        lifecycle="deprecated",
        retires="2026-11-30",
    ),
}

DATED = {
    "claude-opus-4-5-20251101": "claude-opus-4-5",
    "claude-haiku-4-5-20251001": "claude-haiku-4-5",
    "claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
}
"""Names with a date → the same model's short name."""

FAST_BY_HEADER = frozenset({"claude-opus-5", "claude-opus-4-8"})
"""Models that take `speed` only together with the beta header."""

GEOS = ("us", "global")
"""Regions that the Claude API binds inference to."""

CAUTIOUS = Capabilities("", context_window=200_000, max_output_tokens=32_000)
"""For a name that is not known: no thinking, no effort, the smallest window of any Claude model."""


def capabilities(model: str) -> Capabilities:
    """What this model can do."""
    found = MODELS.get(DATED.get(model, model))
    known = found if found is not None else replace(CAUTIOUS, display_name=model)
    return replace(known, inference_geos=GEOS)
