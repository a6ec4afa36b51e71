"""Reserve what a model request may cost at most, before it is made, in every budget above its session.

Promises: no request begins that does not fit; one that others' reservations stand in the way of waits
for them to be settled, one for which nothing is left is given up. The bound: the prompt by the
provider's last count, with a token for every byte that came after it, at the dearest price for input,
and as much output as the request allows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agentstead.harness.state import State
from agentstead.harness.thread import Thread
from agentstead.log.charges import JUDGE, Bound, Short
from agentstead.log.log import Lease
from agentstead.providers.provider import ModelRequest
from agentstead.worker.world import Model, World

FIRST_LOOK_SECONDS = 0.02
LOOK_SECONDS_MAX = 0.25
OVERHEAD_TOKENS = 2_000
"""What a provider adds of its own to a prompt: instructions on tools, the marks of messages."""


async def reserve(
    world: World,
    lease: Lease,
    state: State,
    thread: Thread,
    request_id: str,
    asked: tuple[ModelRequest, Model],
) -> Short | None:
    """None once it is reserved, or nothing is to be; else what has no room for it. Raises LeaseLost
    and StoreFault."""
    if not state.budgeted:
        return None
    bound = bound_of(*asked, known=thread.context_tokens)
    pause = FIRST_LOOK_SECONDS
    while True:
        short = await world.budgets.reserve(lease, thread.id, request_id, bound)
        if short is None or short.final:
            return short
        await world.clock.sleep(pause)
        pause = min(pause * 2, LOOK_SECONDS_MAX)


async def reserve_judges(
    world: World,
    lease: Lease,
    state: State,
    thread: Thread,
    request_id: str,
    asked: Sequence[tuple[ModelRequest, Model]],
) -> bool:
    """The same for the judges of one answer's calls, all together; nobody waits for room."""
    if not state.budgeted or not asked:
        return True
    bounds = [bound_of(request, model) for request, model in asked]
    priced = [bound.picodollars for bound in bounds if bound.picodollars is not None]
    together = Bound(
        sum(priced) if len(priced) == len(bounds) else None,
        sum(bound.tokens for bound in bounds),
        bounds[0].model,
    )
    key = request_id + JUDGE
    return await world.budgets.reserve(lease, thread.id, key, together) is None


def bound_of(request: ModelRequest, model: Model, known: int = 0) -> Bound:
    """The most that a request can use; `known`: tokens of the conversation up to the last answer."""
    prompt = min(prompt_tokens(request, known), model.capabilities.context_window)
    price = model.price
    cost = None
    if price is not None:
        cost = price.at_most(prompt, request.max_tokens, request.speed, request.inference_geo)
    return Bound(cost, prompt + request.max_tokens, request.model)


def prompt_tokens(request: ModelRequest, known: int) -> int:
    """No text has more tokens than bytes."""
    new: list[Mapping[str, Any]] = []
    for message in reversed(request.messages):
        if known and message["role"] == "assistant":
            break
        new.append(message)
    counted = () if known else (request.system, request.tools)
    if any(remote(block) for message in new for block in blocks(message)):
        return 1 << 62  # nobody here knows how large it is: the whole window
    text = json.dumps([*counted, new], ensure_ascii=False)
    return known + len(text.encode("utf-8", "surrogatepass")) + OVERHEAD_TOKENS


def blocks(message: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """A message's content, that of results in it as well."""
    content = message["content"]
    if isinstance(content, str):
        return ()
    found = list(content)
    for block in content:
        inner = block.get("content")
        if isinstance(inner, list | tuple):
            found += inner
    return found


def remote(block: Mapping[str, Any]) -> bool:
    """Whether the provider fetches it from an address."""
    source = block.get("source")
    return isinstance(source, Mapping) and source.get("type") == "url"
