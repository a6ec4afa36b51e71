"""A judge of model requests: each thing that is wrong is said, a right request is let through."""

import re
from dataclasses import replace

import pytest

from agentstead.providers.provider import ModelRequest
from agentstead.testing.request_check import request_faults


def user(*blocks):
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks):
    return {"role": "assistant", "content": list(blocks)}


def text(words="hello"):
    return {"type": "text", "text": words}


def use(call_id="t1"):
    return {"type": "tool_use", "id": call_id, "name": "bash", "input": {}}


def result(call_id="t1", words="ok"):
    return {"type": "tool_result", "tool_use_id": call_id, "content": [text(words)]}


TOOL = {"name": "bash", "description": "Run.", "input_schema": {"type": "object"}}


def request(*messages, **more):
    return replace(ModelRequest("m", (text("Be kind."),), messages, (TOOL,), 100), **more)


GOOD = (
    request(user(text())),
    request(user(text()), assistant(text()), user(text())),
    request(user(text()), assistant(use(), use("t2")), user(result("t2"), result(), text())),
    request(user(text()), assistant({"type": "thinking", "thinking": "", "signature": "s"}, use()),
            user({"type": "tool_result", "tool_use_id": "t1", "content": []})),
)  # fmt: skip


@pytest.mark.parametrize("good", GOOD)
def test_a_right_request_is_let_through(good):
    assert request_faults(good) == []


BAD = {
    "a name that providers refuse": request(user(text()), tools=({**TOOL, "name": "a b"},)),
    "none is defined": request(user(text()), assistant(use()), user(result()), tools=()),
    "256 are allowed": request(
        user(text()), tools=tuple({**TOOL, "name": f"t{n}"} for n in range(257))
    ),
    "no messages": request(),
    "first message": request(assistant(text()), user(text())),
    "last message": request(user(text()), assistant(text())),
    "both of the user": request(user(text()), user(text())),
    "has no blocks": request(user()),
    "has no words": request(user(text(" "))),
    "no block of the user": request(user(use())),
    "no block of the assistant": request(user(text()), assistant(result()), user(text())),
    "has no object as input": request(
        user(text()), assistant({**use(), "input": "{}"}), user(result())
    ),
    r"results of \[\], owed \['t1'\]": request(user(text()), assistant(use()), user(text())),
    r"results of \['t1'\], owed \[\]": request(user(result())),
    r"results of \['t1', 't1'\]": request(user(text()), assistant(use()), user(result(), result())),
    "comes after other content": request(user(text()), assistant(use()), user(text(), result())),
    "without a result": request(user(text()), assistant(use())),
    "used again": request(
        user(text()), assistant(use()), user(result()), assistant(use()), user(result())
    ),
    "t1 has no words": request(user(text()), assistant(use()), user(result(words=""))),
    "max_tokens": request(user(text()), max_tokens=0),
    "system.0": request(user(text()), system=(text(""),)),
    "same name": request(user(text()), tools=(TOOL, TOOL)),
    "no object schema": request(user(text()), tools=({**TOOL, "input_schema": {}},)),
    "5 cache marks": request(user(*[{**text(), "cache_control": {"type": "ephemeral"}}] * 5)),
}


@pytest.mark.parametrize("says", BAD)
def test_a_wrong_request_is_named(says):
    faults = request_faults(BAD[says])
    assert faults
    assert any(re.search(says, fault) for fault in faults), faults
