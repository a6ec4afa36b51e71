"""What the simulated door lets in: the rules of wire §7.2, as pure decisions on a desk."""

from agentstead.errors import Invalid
from agentstead.log.asks import remaining
from agentstead.log.log import Decision, Desk, Incoming

AWAITED = {
    "user.tool_confirmation": "confirmation",
    "user.custom_tool_result": "custom",
    "user.tool_result": "tool",
}
NOTHING = Decision((), False)


def refuse_ended(desk: Desk) -> None:
    if desk.status == "terminated" or desk.archived:
        raise Invalid("events: this session has ended.")


def refuse_at_cap(desk: Desk) -> None:
    if desk.budget is None:
        return
    cap = int(desk.budget["max_list_cost"]["amount"]) * 10**10
    if desk.list_cost is None or desk.list_cost >= cap:
        raise Invalid("events: the budget is used up.")


def message(incoming: Incoming):
    """A message starts work, and is refused while the session waits for answers."""

    def decide(desk: Desk) -> Decision:
        refuse_ended(desk)
        refuse_at_cap(desk)
        if desk.status == "idle" and desk.open_asks:
            raise Invalid("events.0: answer the open calls first.")
        return Decision((incoming,), desk.status == "idle")

    return decide


def interrupt(incoming: Incoming):
    """An interrupt of an idle session without open calls does nothing."""

    def decide(desk: Desk) -> Decision:
        refuse_ended(desk)
        if desk.status == "idle" and not desk.open_asks:
            return NOTHING
        return Decision((incoming,), False)

    return decide


def answer(incoming: Incoming, call_id: str):
    """The first answer to an open call counts, later ones are accepted and do nothing."""

    def decide(desk: Desk) -> Decision:
        refuse_ended(desk)
        facts = desk.calls.get(call_id)
        if facts is None:
            raise Invalid("events.0.tool_use_id: there is no such call.")
        if facts.awaits != AWAITED[incoming.type]:
            return NOTHING
        (ask,) = remaining(
            [ask for ask in desk.open_asks if ask.id == call_id], [incoming.payload]
        ) or (None,)
        rest = [ask for ask in desk.open_asks if ask.id != call_id]
        return Decision((incoming,), desk.status == "idle" and not rest and ask is None)

    return decide
