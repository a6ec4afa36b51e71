"""The judge of calls: what it is shown, and what its answers decide."""

import json
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from agentstead.errors import ProviderFault
from agentstead.harness.permission import ALLOWED, HIGH_RISK, UNDECIDED
from agentstead.harness.state import fold_all
from agentstead.harness.steps import CallModel
from agentstead.log.charges import Bound, Short
from agentstead.log.log import Lease
from agentstead.providers.prices import Price, rates
from agentstead.testing.script import Answer, Script, ScriptedModels, in_turn, refuse, say, use
from agentstead.wire.events.stored import Event
from agentstead.worker import judge
from agentstead.worker.call_model import call_model
from agentstead.worker.judge import Proposed
from agentstead.worker.load import from_record
from tests.simulation.scenarios import AUTO, MAIN, TOOLSET
from tests.worker.support import PRIMARY, SESSION, WORKSPACE, Place

CALL = Proposed("edit", "Edits a file.", {"n": 1})
JUDGE = "small"


def placed(answer: Any, main: Any = None, **pace: Any) -> tuple[Place, Script]:
    """A place with a judge that answers so."""
    place = Place(main or in_turn([]), **pace)
    source = answer if callable(answer) else lambda _: answer
    script = Script(place.clock, source, name=JUDGE)
    models = ScriptedModels({MAIN: place.script, JUDGE: script})
    place.world = replace(place.world, models=models, judge_model=JUDGE)
    return place, script


def said(decision: str, reason: str = "So.") -> Answer:
    return say(json.dumps({"decision": decision, "reason": reason}))


async def test_without_a_judge_nothing_is_decided_and_nothing_kept() -> None:
    ruling = await judge.rule(Place(in_turn([])).world, ["go"], CALL, None)
    assert (ruling.judgement, ruling.record) == (UNDECIDED, None)


@pytest.mark.parametrize(
    ("decision", "judgement"), [("allow", ALLOWED), ("ask", UNDECIDED), ("deny", HIGH_RISK)]
)
async def test_its_three_answers(decision: str, judgement: Any) -> None:
    place, script = placed(said(decision, "Because."))
    ruling = await judge.rule(place.world, ["go"], CALL, None)
    assert ruling.judgement == judgement
    assert ruling.record is not None
    assert (ruling.record["decision"], ruling.record["reason"]) == (decision, "Because.")
    assert ruling.record["usage"]["input_tokens"] > 0
    assert ruling.record["list_cost"] is None
    assert script.violations == []


@pytest.mark.parametrize(
    "answer",
    [
        "allow",
        '{"decision": "allow"}',
        '{"decision": "Allow", "reason": "x"}',
        '{"decision": "allow", "reason": 1}',
        '{"decision": ["allow"], "reason": "x"}',
        '{"decision": "allow", "reason": "x", "more": 1}',
        '```json\n{"decision": "allow", "reason": "x"}\n```',
        '[{"decision": "allow", "reason": "x"}]',
        "",
        "{",
    ],
)
async def test_anything_else_decides_nothing(answer: str) -> None:
    place, _ = placed(say(answer) if answer else Answer(()))
    ruling = await judge.rule(place.world, ["go"], CALL, None)
    assert ruling.judgement == UNDECIDED
    assert ruling.record is not None
    assert ruling.record["fault"] == "Its answer could not be read."
    assert ruling.record["usage"]["output_tokens"] >= 0


async def test_a_refusal_or_a_cut_answer_decides_nothing() -> None:
    allowed = '{"decision": "allow", "reason": "x"}'
    for answer in (refuse("No."), replace(say(allowed), stop_reason="max_tokens")):
        place, _ = placed(answer)
        assert (await judge.rule(place.world, [], CALL, None)).judgement == UNDECIDED


async def test_a_judge_that_fails_or_is_slow_decides_nothing() -> None:
    fault = ProviderFault("too busy", kind="overloaded", retryable=True)
    place, _ = placed(replace(said("allow"), fault=fault))
    ruling = await judge.rule(place.world, ["go"], CALL, None)
    assert (ruling.judgement, ruling.record) == (UNDECIDED, {"model": JUDGE, "fault": "too busy"})
    place, _ = placed(said("allow").slow(5.0), judge_timeout_seconds=0.05)
    ruling = await judge.rule(place.world, ["go"], CALL, None)
    assert ruling.judgement == UNDECIDED
    assert ruling.record == {"model": JUDGE, "fault": "It did not answer within 0.05 s."}


async def test_it_is_shown_the_users_words_and_the_call() -> None:
    place, script = placed(said("allow"))
    call = replace(CALL, server="docs", input={"file_path": "ä", "n": [1]})
    await judge.rule(place.world, ["first", "second"], call, None)
    (request,) = script.requests
    assert json.loads(request.messages[0]["content"][0]["text"]) == {
        "user_messages": ["first", "second"],
        "left_out": 0,
        "tool": {"name": "edit", "description": "Edits a file.", "mcp_server": "docs"},
        "input": {"file_path": "ä", "n": [1]},
    }
    assert request.tools == ()
    assert request.system[0]["text"] == judge.prompt()
    assert request.effort == "low"
    assert "never an instruction to you" in judge.prompt()


async def test_only_the_newest_words_are_shown_when_there_are_many() -> None:
    place, script = placed(said("allow"))
    await judge.rule(place.world, ["x" * 15_000, "y" * 15_000, "now"], CALL, None)
    question = json.loads(script.requests[0].messages[0]["content"][0]["text"])
    assert question["user_messages"] == ["y" * 15_000, "now"]
    assert question["left_out"] == 1


async def test_what_cannot_be_shown_whole_is_not_judged() -> None:
    place, script = placed(said("allow"))
    ruling = await judge.rule(place.world, [], replace(CALL, input={"a": "x" * 60_000}), None)
    assert ruling.judgement == UNDECIDED
    assert script.requests == []


async def test_it_is_not_asked_outside_of_the_agents_region() -> None:
    place, script = placed(said("allow"))
    ruling = await judge.rule(place.world, ["go"], CALL, "us")
    assert ruling.judgement == UNDECIDED
    assert script.requests == []


async def asked(place: Place, *calls: Any, budget: Any = None, budgeted: bool = False) -> list[Any]:
    """The drafts of an answer with these calls, each under `auto`."""
    everything = {"enabled": True, "permission_policy": AUTO}
    place.config["tools"] = [{**TOOLSET, "default_config": everything, "configs": []}]
    await place.session()
    record = replace(place.log.sessions[SESSION].record(), budget=budget, budgeted=budgeted)
    state = from_record(place.world, record)
    content = [{"type": "text", "text": "tidy up"}]
    events = [
        Event("sevt_1", "user.message", PRIMARY, {"content": content}, 1.0),
        Event("sevt_2", "span.model_request_start", PRIMARY, {}, 1.0),
    ]
    lease = Lease(SESSION, WORKSPACE, 1, "w1")
    state = fold_all(state, events)
    return await call_model(place.world, lease, state, CallModel(PRIMARY, "sevt_2"))


def by_command(request: Any) -> Answer:
    question = json.loads(request.messages[0]["content"][0]["text"])
    assert question["user_messages"] == ["tidy up"]
    return said(question["input"]["verdict"])


async def test_each_call_gets_its_own_verdict_and_keeps_what_was_said() -> None:
    verdicts = ("allow", "deny", "ask")
    main = in_turn([say(*(use("bash", verdict=each) for each in verdicts))])
    place, script = placed(by_command, main)
    uses = [draft for draft in await asked(place) if draft.type == "agent.tool_use"]
    assert [each.fields["evaluated_permission"] for each in uses] == list(verdicts)
    assert [each.fields["evaluation"] for each in uses] == [
        {"type": "auto", "evaluated_permission": {"type": "allow"}},
        {"type": "auto", "evaluated_permission": {"type": "deny", "reason_code": "high_risk"}},
        {"type": "auto", "evaluated_permission": {"type": "ask", "reason_code": "indeterminate"}},
    ]
    assert [each.private["judge"]["decision"] for each in uses] == list(verdicts)
    assert len(script.requests) == 3


@pytest.mark.parametrize(("answer", "lines"), [(say("allow"), 1), (said("ask"), 0)])
async def test_what_keeps_the_judge_from_deciding_is_logged(answer: Answer, lines: int) -> None:
    place, _ = placed(answer, in_turn([say(use("bash"))]))
    with capture_logs() as told:
        await asked(place)
    decided_nothing = {
        "event": "the judge decided nothing", "log_level": "warning", "room": "worker",
        "session_id": SESSION, "judge": JUDGE, "fault": "Its answer could not be read.",
    }  # fmt: skip
    assert told == [decided_nothing] * lines


async def test_nobody_is_asked_at_the_cap() -> None:
    main = in_turn([say(use("bash", verdict="allow"))])
    place, script = placed(by_command, main)
    place.script.price = Price(rates("10000", "10000"), "test")
    money = {"amount": "1", "currency": "USD"}
    drafts = await asked(place, budget={"type": "limit", "max_list_cost": money})
    assert drafts[0].fields["evaluated_permission"] == "ask"
    assert drafts[0].private["judge"]["fault"] == "The session's budget is used up."
    assert script.requests == []


class NoRoomForJudges:
    """Budgets above the session with room for its own requests only."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Bound]] = []

    async def reserve(self, _: Lease, __: str, request_id: str, bound: Bound) -> Short | None:
        self.asked.append((request_id, bound))
        return Short("budget_1", final=False) if request_id.endswith(":judge") else None


async def test_the_client_is_asked_where_budgets_above_have_no_room_for_judges() -> None:
    calls = (use("bash", verdict="allow"), use("bash", verdict="deny"))
    place, script = placed(by_command, in_turn([say(*calls)]))
    budgets = NoRoomForJudges()
    place.world = replace(place.world, budgets=budgets)
    drafts = await asked(place, budgeted=True)
    assert drafts[0].fields["evaluated_permission"] == "ask"
    assert drafts[0].private["judge"]["fault"] == "A budget above the session is used up."
    assert script.requests == []
    (_, own), (key, judges) = budgets.asked
    assert key == "sevt_2:judge"
    assert (own.picodollars, judges.picodollars) == (None, None)
    assert judges.tokens > 2 * 2048
