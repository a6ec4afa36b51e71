"""Ask a model for a thread's next message.

Deltas go out as previews as they come; what is written down is the whole message at its end, in one
append with the end of the request. A failure is written down too: the planner decides on it.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agentstead import ids as prefixes
from agentstead.errors import ProviderFault, Refusal
from agentstead.harness import permission
from agentstead.harness.drafts import NO_USAGE
from agentstead.harness.permission import Verdict
from agentstead.harness.place import by_client
from agentstead.harness.servers import NO_OFFER, Offer
from agentstead.harness.state import State
from agentstead.harness.steps import CallModel
from agentstead.harness.thread import Thread
from agentstead.log.charges import Short
from agentstead.log.log import Lease
from agentstead.prompt import context
from agentstead.prompt.context import Conversation, Scribe
from agentstead.providers.prices import Price
from agentstead.providers.provider import (
    Done,
    ModelRequest,
    Part,
    TextDelta,
    TextStart,
    ThinkingStart,
    Usage,
)
from agentstead.telemetry import logs
from agentstead.wire.budget import reached
from agentstead.wire.events.stored import Draft
from agentstead.worker import check_out, judge, reserving, server_tools
from agentstead.worker.file_blocks import with_content
from agentstead.worker.judge import Proposed, Ruling
from agentstead.worker.load import tool_texts
from agentstead.worker.network import network_note
from agentstead.worker.variables import cut_off
from agentstead.worker.world import NO_VARIABLES, Model, World

log = logs.get("worker")

TOOL_USES = {
    "builtin": "agent.tool_use",
    "mcp": "agent.mcp_tool_use",
    "custom": "agent.custom_tool_use",
}
NO_RULING = Ruling()
CHARACTERS_PER_TOKEN = 4
"""A rough measure, for what the provider has not counted yet."""


async def call_model(
    world: World, lease: Lease, state: State, step: CallModel, scribe: Scribe | None = None
) -> list[Draft]:
    """Perform the step; the events that end it. Raises nothing that a provider causes.

    `scribe` knows the thread's conversation from its last request.
    """
    thread = state.threads[step.thread_id]
    found = await server_tools.find(world, lease, state, thread)
    troubles = [*found.troubles, *await cut_off(world, state, thread)]
    answer = Answer(world, lease, state, thread, step.request_id, found.offer)
    return [*troubles, *await answered(answer, scribe)]


async def answered(answer: "Answer", scribe: Scribe | None) -> list[Draft]:
    """Ask the model; the events that end the request."""
    world, thread = answer.world, answer.thread
    try:
        model = world.models.resolve(thread.agent["model"]["id"])
        answer.price = model.price
        request = model_request(answer, model, scribe)
        check_fits(thread, request, model)
        messages = await with_content(world.files, answer.state.session_id, request.messages)
        if messages is not request.messages:
            request = replace(request, messages=messages)
        if short := await answer.reserve(request, model):
            return [answer.put_off(short)]
        async for part in model.provider.stream(request):
            answer.receive(part)
    except ProviderFault as fault:
        return [answer.failed(fault)]
    except Refusal as refusal:
        return [answer.failed(ProviderFault(refusal.message, kind="invalid"))]
    if answer.done is None:
        cut = ProviderFault("The model's stream ended early.", kind="cut", retryable=True)
        return [answer.failed(cut)]
    answer.rulings = await rulings(answer, request, answer.done)
    return answer.drafts(answer.done)


async def rulings(answer: "Answer", request: ModelRequest, done: Done) -> dict[str, Ruling]:
    """What the judge says of the calls whose policy is `auto`, by the provider's call id."""
    world, state = answer.world, answer.state
    blocks = [
        block
        for block in done.content
        if block["type"] == "tool_use" and permission.is_judged(answer.verdict(block))
    ]
    if not blocks or world.judge_model is None:
        return {}
    told = {tool["name"]: str(tool["description"]) for tool in request.tools}
    proposed = [answer.proposed(block, told) for block in blocks]
    geo = request.inference_geo
    if reached(state.budget, state.cost.plus(answer.list_cost(done)).measured):
        found = [judge.undecided(world, "The session's budget is used up.")] * len(blocks)
    elif not await answer.reserve_judges(proposed, geo):
        found = [judge.undecided(world, "A budget above the session is used up.")] * len(blocks)
    else:
        found = await asyncio.gather(
            *(judge.rule(world, state.said, call, geo) for call in proposed)
        )
        for ruling in found:
            tell(answer.lease.session_id, ruling)
    return {block["id"]: ruling for block, ruling in zip(blocks, found, strict=True)}


def tell(session_id: str, ruling: Ruling) -> None:
    """A judge that decides nothing leaves every call to the client: the operator must see why."""
    record = ruling.record or {}
    if fault := record.get("fault"):
        log.warning(
            "the judge decided nothing", session_id=session_id, judge=record["model"], fault=fault
        )


def model_request(answer: "Answer", model: Model, scribe: Scribe | None) -> ModelRequest:
    """The request in the provider's terms."""
    world, thread, servers = answer.world, answer.thread, answer.offer.definitions
    state = answer.state
    prompt = context.build(
        thread,
        tool_texts(world),
        scribe,
        state.environment,
        servers,
        state.mounted,
        (*state.skills, *check_out.skills(state.repositories, thread.agent["tools"])),
        network=network_note(
            state.environment,
            networked=world.networked,
            vaults=state.vaults and world.variables is not NO_VARIABLES and world.credentialed,
        ),
        checked_out=check_out.at_start(state.repositories),
    )
    config = thread.agent["model"]
    effort = (config.get("effort") or {}).get("type")
    able = model.capabilities
    return ModelRequest(
        model=model.upstream,
        system=prompt.system,
        messages=prompt.messages,
        tools=prompt.tools,
        max_tokens=min(world.pace.max_output_tokens, able.max_output_tokens),
        effort=effort if effort in able.efforts else None,
        speed=config.get("speed") or "standard",
        inference_geo=config.get("inference_geo"),
    )


def check_fits(thread: Thread, request: ModelRequest, model: Model) -> None:
    """Refuse what the provider would refuse, or worse, shorten on its own."""
    window = model.capabilities.context_window
    messages = request.messages
    if thread.context_tokens * 2 < window and len(messages) < window // 2000:
        return
    size = len(json.dumps([request.system, request.tools]))
    size += messages.characters if isinstance(messages, Conversation) else len(json.dumps(messages))
    if max(thread.context_tokens, size // (CHARACTERS_PER_TOKEN * 2)) >= window:
        raise ProviderFault(
            f"The conversation does not fit the model's context window of {window} tokens, and "
            "compaction is not available yet. Start a new session.",
            kind="too_long",
        )


@dataclass(slots=True)
class Answer:
    """A message in the making: passes on its deltas, then becomes events."""

    world: World
    lease: Lease
    state: State
    thread: Thread
    request_id: str
    offer: Offer = NO_OFFER
    """The tools of MCP servers that the model was shown."""
    message_id: str | None = None
    thinking_ids: list[str] = field(default_factory=list)
    done: Done | None = None
    price: Price | None = None
    """Of the model that answers."""
    rulings: Mapping[str, Ruling] = field(default_factory=dict)
    """The judge's, by the provider's call id."""

    async def reserve(self, request: ModelRequest, model: Model) -> Short | None:
        """What a budget above the session has no room for; None: it has, and keeps it."""
        return await reserving.reserve(
            self.world, self.lease, self.state, self.thread, self.request_id, (request, model)
        )

    async def reserve_judges(self, calls: Sequence[Proposed], geo: str | None) -> bool:
        """Whether budgets above the session have room for the judges of these calls."""
        asked = judge.questions(self.world, self.state.said, calls, geo)
        return await reserving.reserve_judges(
            self.world, self.lease, self.state, self.thread, self.request_id, asked
        )

    def put_off(self, short: Short) -> Draft:
        """The end of a request that was not made."""
        fields = {
            "model_request_start_id": self.request_id,
            "is_error": None,
            "model_usage": dict(NO_USAGE),
        }
        private = {"short": {"budget_id": short.budget_id, "until": short.until}}
        return Draft(
            "span.model_request_end", self.thread.id, fields, private, primary=self.primary
        )

    def receive(self, part: Part) -> None:
        """Take the next part of the stream."""
        assert self.done is None, "a provider went on after its Done"
        match part:
            case TextStart(index):
                self.text(index, "")
            case TextDelta(index, text):
                self.text(index, text)
            case ThinkingStart():
                event_id = self.world.ids.new(prefixes.EVENT)
                self.thinking_ids.append(event_id)
                self.start("agent.thinking", event_id)
            case Done():
                self.done = part

    def text(self, index: int, text: str) -> None:
        """More text of the message."""
        if self.message_id is None:
            self.message_id = self.world.ids.new(prefixes.EVENT)
            self.start("agent.message", self.message_id)
        content = {"type": "text", "text": text}
        delta = {"type": "content_delta", "index": index, "content": content}
        self.preview({"type": "event_delta", "event_id": self.message_id, "delta": delta})

    def start(self, kind: str, event_id: str) -> None:
        """Announce an event to come."""
        self.preview({"type": "event_start", "event": {"type": kind, "id": event_id}})

    def preview(self, frame: Mapping[str, Any]) -> None:
        """Publish; previews may be lost."""
        self.world.previews.preview(self.lease, self.thread.id, frame)

    @property
    def primary(self) -> bool:
        """Whether the thread is the primary one."""
        return self.thread.id == self.state.primary_id

    def failed(self, fault: ProviderFault) -> Draft:
        """The end of a request that failed."""
        private = {
            "fault": {
                "kind": fault.kind,
                "message": fault.message,
                "retryable": fault.retryable,
                "retry_after": fault.retry_after,
            }
        }
        fields = {
            "model_request_start_id": self.request_id,
            "is_error": True,
            "model_usage": dict(NO_USAGE),
        }
        return Draft(
            "span.model_request_end", self.thread.id, fields, private, primary=self.primary
        )

    def drafts(self, done: Done) -> list[Draft]:
        """Thinking, text and tool calls of a whole message, and the end of the request."""
        layout: list[Mapping[str, Any]] = []
        texts: list[Mapping[str, Any]] = []
        calls: list[Draft] = []
        thinking: list[Draft] = []
        for block in done.content:
            if block["type"] == "text":
                layout.append({"type": "text", "text_index": len(texts)})
                texts.append({"type": "text", "text": block["text"]})
            elif block["type"] == "tool_use":
                layout.append({"type": "tool_use", "call_index": len(calls)})
                calls.append(self.tool_use(block))
            else:
                layout.append(block)
                thinking.append(self.thinking(len(thinking)))
        if not any(text["text"].strip() for text in texts):
            layout = [entry for entry in layout if "text_index" not in entry]
            texts = []
        message = (
            [Draft("agent.message", self.thread.id, {"content": texts}, id=self.message_id)]
            if texts
            else []
        )
        if not self.primary:
            message = [
                Draft(d.type, d.thread_id, d.fields, id=d.id, primary=False) for d in message
            ]
        return [*thinking, *message, *calls, self.ended(done, layout)]

    def thinking(self, number: int) -> Draft:
        """The signal that the model thought; what it thought is kept in the request's end."""
        known = self.thinking_ids[number] if number < len(self.thinking_ids) else None
        return Draft("agent.thinking", self.thread.id, id=known, primary=self.primary)

    def verdict(self, block: Mapping[str, Any]) -> Verdict:
        """Whether a call may run."""
        return permission.judge(
            self.thread.agent["tools"],
            self.state.offered,
            block["name"],
            self.offer.known.get(block["name"]),
            self.rulings.get(block["id"], NO_RULING).judgement,
        )

    def proposed(self, block: Mapping[str, Any], told: Mapping[str, str]) -> Proposed:
        """A call as the judge is shown it; `told`: what the model knows of its tools."""
        name, server_tool = block["name"], self.offer.known.get(block["name"])
        if server_tool is None:
            return Proposed(name, told.get(name, ""), block["input"])
        return Proposed(server_tool.name, told.get(name, ""), block["input"], server_tool.server)

    def tool_use(self, block: Mapping[str, Any]) -> Draft:
        """A tool call with its verdict."""
        server_tool = self.offer.known.get(block["name"])
        verdict = self.verdict(block)
        fields: dict[str, Any] = {"name": block["name"], "input": block["input"]}
        private: dict[str, Any] = {"provider_id": block["id"]}
        if server_tool is not None:
            fields |= {"name": server_tool.name, "mcp_server_name": server_tool.server}
            private["shown"] = block["name"]
            private |= {"url": server_tool.url, "repeatable": server_tool.repeatable}
        if (record := self.rulings.get(block["id"], NO_RULING).record) is not None:
            private["judge"] = dict(record)
        if verdict.kind != "custom":
            fields["evaluated_permission"] = verdict.permission
            if verdict.evaluation is not None:
                fields["evaluation"] = verdict.evaluation
        elsewhere = by_client(self.state.environment, verdict.kind, block["name"])
        awaits_client = verdict.permission == "ask" or (elsewhere and verdict.permission != "deny")
        fields["session_thread_id"] = None if self.primary else self.thread.id
        return Draft(
            TOOL_USES[verdict.kind],
            self.thread.id,
            fields,
            private,
            primary=self.primary or awaits_client,
        )

    def list_cost(self, done: Done) -> int | None:
        """What the request has cost at list prices, in picodollars; None: it has no price."""
        if self.price is None:
            return None
        model = self.thread.agent["model"]
        speed, geo = model.get("speed") or "standard", model.get("inference_geo")
        return self.price.cost(done.usage, speed, geo)

    def ended(self, done: Done, layout: Sequence[Mapping[str, Any]]) -> Draft:
        """The end of a request that went well."""
        usage = {name: getattr(done.usage, name) for name in Usage.__slots__}
        fields = {
            "model_request_start_id": self.request_id,
            "is_error": False,
            "model_usage": {name: usage[name] for name in NO_USAGE},
        }
        private = {
            "layout": list(layout),
            "usage": usage,
            "list_cost": self.list_cost(done),
            "stop_reason": done.stop_reason,
            "stop_details": done.stop_details,
            "model": done.model,
        }
        return Draft(
            "span.model_request_end", self.thread.id, fields, private, primary=self.primary
        )
