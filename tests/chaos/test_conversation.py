"""A request that tells the jobs as they went is taken; each that lacks, repeats or changes something is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from agentstead.chaos.conversation import Course, Invalid, course
from agentstead.chaos.jobs import job

SEED = 11
FIRST = next(
    found for number in range(50) if len((found := job(SEED, f"s0x{number}")).rounds[0]) == 2
)
SECOND = job(SEED, "s0x77")
Messages = list[dict[str, Any]]


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def asked(messages: Messages) -> Course:
    return course(SEED, {"model": "m", "messages": messages})


def told() -> Messages:
    """The first job whole, then the second one's beginning, as the upstream's own answers lead there."""
    messages: Messages = [user(text(FIRST.message))]
    while (found := asked(messages)).calls:
        messages.append({"role": "assistant", "content": found.blocks})
        messages.append(
            user(
                *(
                    {"type": "tool_result", "tool_use_id": block["id"], "content": [text(call.answer)]}
                    for block, call in zip(found.blocks, found.calls, strict=True)
                )
            )
        )  # fmt: skip
    messages += [{"role": "assistant", "content": found.blocks}, user(text(SECOND.message))]
    return messages


def test_a_conversation_goes_on_where_it_is() -> None:
    found = asked(told())
    assert (found.job, found.calls) == (SECOND, SECOND.rounds[0])


def drop(place: int) -> Callable[[Messages], Any]:
    return lambda messages: messages.pop(place)


PLANTED: dict[str, tuple[Callable[[Messages], Any], str]] = {
    "a result is missing": (lambda m: m[2]["content"].pop(), "owed"),
    "a result is there twice": (lambda m: m[2]["content"].append(m[2]["content"][0]), "owed"),
    "results in another order": (lambda m: m[2]["content"].reverse(), "owed"),
    "a result after other content": (lambda m: m[2]["content"].insert(0, text("x")), "after other"),
    "all results are missing": (drop(2), "in a row"),
    "a round is missing": (lambda m: [m.pop(1), m.pop(1)], "not what the model said"),
    "a round is there twice": (
        lambda m: m.extend(copy.deepcopy(m[1:3])), "not what the model said|in a row",
    ),
    "a use was changed": (
        lambda m: m[1]["content"][0].update(input={"command": "rm"}), "not what the model said",
    ),
    "a result that says nothing": (lambda m: m[2]["content"][0].update(content=[]), "the result of"),
    "a job is there twice": (lambda m: m[-1]["content"].append(text(FIRST.message)), "twice"),
    "the model has the last word": (drop(-1), "last message"),
    "nobody asks anything": (lambda m: m[0].update(content=[text("hello")]), "spoken to"),
    "nothing is there": (lambda m: m.clear(), "last message"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_refused(name: str) -> None:
    plant, why = PLANTED[name]
    messages = told()
    plant(messages)
    with pytest.raises(Invalid, match=why):
        asked(messages)


def test_a_failed_result_need_not_say_that_it_ran() -> None:
    messages = told()
    messages[2]["content"][0] |= {"content": [text("not run")], "is_error": True}
    assert asked(messages).job == SECOND
