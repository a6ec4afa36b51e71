"""The judge of calls under the policy `auto`: a small model call of its own.

It is told what the user has written, never what tools returned or other agents said, and the call. It
can only make a call run that nobody else has to allow: where there is no judge, or no clear answer in
time, the client is asked. What it said and used is kept with the call.
"""

import asyncio
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from agentstead.errors import ProviderFault, Refusal
from agentstead.harness.permission import ALLOWED, HIGH_RISK, UNDECIDED, Judgement
from agentstead.providers.provider import Done, ModelRequest
from agentstead.wire.shape import canonical
from agentstead.worker.world import Model, World

JUDGEMENTS = {"allow": ALLOWED, "ask": UNDECIDED, "deny": HIGH_RISK}
ANSWER_TOKENS_MAX = 2048
"""Enough for a sentence and for models that think first."""
SAID_CHARACTERS_MAX = 20_000
"""Of the user's messages, the newest of them."""
INPUT_CHARACTERS_MAX = 50_000
"""A longer input is not judged: what is cut off could be what matters."""
REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Proposed:
    """A call to be judged."""

    name: str
    description: str
    input: Mapping[str, Any]
    server: str | None = None
    """The MCP server whose tool it is."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What was decided, and what is kept about it."""

    judgement: Judgement = UNDECIDED
    record: Mapping[str, Any] | None = None
    """`model`; with an answer `decision`, `reason`, `usage`, `list_cost`; else `fault`."""


async def rule(world: World, said: Sequence[str], call: Proposed, geo: str | None) -> Ruling:
    """Ask the judge about one call; raises nothing that a model causes. `geo`: where the agent's
    model must be served, and so the judge's."""
    name = world.judge_model
    if name is None:
        return Ruling()
    done: Done | None = None
    record: dict[str, Any] = {"model": name}
    try:
        model = world.models.resolve(name)
        request = asked(model, said, call, geo)
        async with asyncio.timeout(world.pace.judge_timeout_seconds):
            async for part in model.provider.stream(request):
                done = part if isinstance(part, Done) else done
    except (ProviderFault, Refusal) as fault:
        return Ruling(record={**record, "fault": fault.message})
    except TimeoutError:
        seconds = world.pace.judge_timeout_seconds
        return Ruling(record={**record, "fault": f"It did not answer within {seconds:g} s."})
    if done is None:
        return Ruling(record={**record, "fault": "Its answer ended early."})
    return ruled(model, done, record, geo)


def questions(
    world: World, said: Sequence[str], calls: Sequence[Proposed], geo: str | None
) -> list[tuple[ModelRequest, Model]]:
    """What the judge will be asked about these calls; a question that cannot be put costs nothing."""
    found: list[tuple[ModelRequest, Model]] = []
    for call in calls if world.judge_model is not None else ():
        with suppress(ProviderFault, Refusal):
            model = world.models.resolve(str(world.judge_model))
            found.append((asked(model, said, call, geo), model))
    return found


def undecided(world: World, fault: str) -> Ruling:
    """The client is asked, without asking the judge."""
    return Ruling(record={"model": world.judge_model, "fault": fault})


def asked(model: Model, said: Sequence[str], call: Proposed, geo: str | None) -> ModelRequest:
    """The question. Raises ProviderFault when it cannot be put."""
    able = model.capabilities
    if geo is not None and geo not in able.inference_geos:
        raise ProviderFault(f"The judge cannot be served in {geo}.", kind="invalid")
    shown = canonical(call.input)
    if len(shown) > INPUT_CHARACTERS_MAX:
        raise ProviderFault("The call's input is too long to be judged.", kind="too_long")
    newest = recent(said)
    question = {
        "user_messages": newest,
        "left_out": len(said) - len(newest),
        "tool": {
            "name": call.name,
            "description": call.description,
            **({} if call.server is None else {"mcp_server": call.server}),
        },
        "input": call.input,
    }
    content = [{"type": "text", "text": canonical(question)}]
    return ModelRequest(
        model=model.upstream,
        system=({"type": "text", "text": prompt()},),
        messages=({"role": "user", "content": content},),
        tools=(),
        max_tokens=min(ANSWER_TOKENS_MAX, able.max_output_tokens),
        effort="low" if "low" in able.efforts else None,
        inference_geo=geo,
    )


def prompt() -> str:
    """The judge's instructions, from the file beside this one."""
    file = importlib.resources.files("agentstead.worker") / "judge.md"
    return file.read_text(encoding="utf-8")


def recent(said: Sequence[str]) -> list[str]:
    """The newest messages that fit; one that alone is too long is left out."""
    kept: list[str] = []
    size = 0
    for text in reversed(said):
        size += len(text)
        if size > SAID_CHARACTERS_MAX:
            break
        kept.append(text)
    return kept[::-1]


def ruled(model: Model, done: Done, record: Mapping[str, Any], geo: str | None) -> Ruling:
    """What an answer says; anything but the asked form decides nothing."""
    price = model.price
    used = {
        **record,
        "usage": asdict(done.usage),
        "list_cost": None if price is None else price.cost(done.usage, geo=geo),
    }
    text = "".join(block["text"] for block in done.content if block["type"] == "text")
    decision, reason = read(text) if done.stop_reason == "end_turn" else (None, "")
    if decision is None:
        return Ruling(record={**used, "fault": "Its answer could not be read."})
    used |= {"decision": decision, "reason": reason[:REASON_CHARACTERS_MAX]}
    return Ruling(JUDGEMENTS[decision], used)


def read(text: str) -> tuple[str | None, str]:
    """Decision and reason of an answer; no decision when it is not exactly what was asked for."""
    try:
        value = json.loads(text)
    except ValueError:
        return None, ""
    if not isinstance(value, dict) or set(value) != {"decision", "reason"}:
        return None, ""
    decision, reason = value["decision"], value["reason"]
    if decision not in tuple(JUDGEMENTS) or not isinstance(reason, str):
        return None, ""
    return decision, reason
