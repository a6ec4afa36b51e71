"""List cost and budgets."""

from tests.conformance.requirements.requirement import OWN, SDK, Requirement

REQUIREMENTS = {
    "shown": Requirement(
        "wire §5.4, §7.6, §12",
        "A priced session shows its list cost in whole cents; a budget is echoed by the session and every `session.usage`.",
    ),
    "reached": Requirement(
        "wire §5.4, §7.7",
        "The request that crosses the cap completes, its tool calls run; then thread and session idle with `budget_reached`.",
    ),
    "at-the-cap": Requirement(
        "wire §5.4",
        "At the cap only answers and interrupts are accepted; all else is a 400 that lists them; an interrupt of a paused session is a 200 that leaves no trace.",
    ),
    "ask-first": Requirement(
        "wire §5.4",
        "A pending ask outranks the cap; its answer is taken at the cap, the call runs, no model request follows.",
    ),
    "raised": Requirement(
        "wire §5.5",
        "A raised budget is one `session.updated`, and the paused work goes on by itself.",
    ),
    "removed": Requirement(
        "wire §5.5",
        "A removed budget lets the work go on; none can be set again (`budget_create_only`).",
    ),
    "not-raised": Requirement(
        "wire §5.5",
        "A budget at or below what was used is a 400 `budget_not_raised`; it may be lowered above that, also while running.",
    ),
    "unpriced": Requirement(
        "wire §5.2, §5.5",
        "A budget on a model without a list price is a 400 `model_not_budgetable`; such a session shows no list cost.",
        SDK,
    ),
    "why": Requirement("extension", "`/why` names the cap, the cost, and what to do.", OWN),
    "above-settled": Requirement(
        "own",
        "A request is reserved in every budget above its session and settled at its real cost, which stays in the usage report when the session is deleted.",
        OWN,
    ),
    "above-reached": Requirement(
        "own",
        "What no budget above has room for is not asked: the session idles with `budget_reached`, refuses what starts work, and goes on by itself once the budget is raised or archived.",
        OWN,
    ),
    "above-why": Requirement(
        "own", "`/why` names the budget above, its limit, what is spent and reserved.", OWN
    ),
    "above-race": Requirement(
        "own",
        "Sessions whose requests do not fit beside one another wait for one another; spent and reserved never exceed the limit together.",
        OWN,
    ),
    "above-unpriced": Requirement(
        "own",
        "Under a budget in money a model without a list price is a 400 `model_not_budgetable`; a session that has one already pauses.",
        OWN,
    ),
    "above-bad-input": Requirement(
        "own", "Bad budgets and bad questions about usage are a 400 that names the field.", OWN
    ),
}
