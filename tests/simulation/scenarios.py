"""What a run is about: sessions, agents, models, tools and clients; fixed for the sweep, drawn for the swarm."""

import json
from dataclasses import dataclass, field, replace
from random import Random

from agentstead.clock import rfc3339
from agentstead.errors import McpFault, SandboxFault
from agentstead.harness.servers import ServerTool, model_name
from agentstead.log.log import Change, Incoming, NewSession
from agentstead.providers.prices import Price, rates
from agentstead.sandbox.sandbox import Outcome
from agentstead.testing.fake_sandbox import Behaviour
from agentstead.testing.fake_servers import Reaction
from agentstead.testing.script import Answer, cut, fail, in_turn, refuse, say, thinking, use
from agentstead.wire.events.stored import Event
from tests.simulation.actors import Client, Habits
from tests.simulation.hands import Hands, Skill
from tests.simulation.repositories import resource

ALLOW = {"type": "always_allow"}
ASK = {"type": "always_ask"}
AUTO = {"type": "auto"}
CHILD = "child"
MAIN = "main"
TOOLS_OFFERED = ("bash", "read", "write", "edit", "glob", "grep")
CHILD_TASK = "do your part"


def config(name: str, policy, *, enabled: bool = True):
    return {"type": name, "name": name, "enabled": enabled, "permission_policy": policy}


TOOLSET = {
    "type": "agent_toolset_20260401",
    "default_config": {"enabled": True, "permission_policy": ALLOW},
    "configs": [config("write", ASK), config("edit", AUTO), config("glob", ALLOW, enabled=False)],
}
LOOKUP = {
    "type": "custom",
    "name": "lookup",
    "description": "Look something up.",
    "input_schema": {"type": "object"},
}


SERVER_TOOLS = {"look": True, "put": False, "send/it": False}
"""Tools of a server → whether it marks them as harmless to repeat; the last one's name fits nowhere."""
SERVERS = [
    {"type": "url", "name": name, "url": f"https://{name}.example.com/mcp"}
    for name in ("docs", "more")
]
SERVER_TOOLSETS = [
    {
        "type": "mcp_toolset",
        "mcp_server_name": server["name"],
        "default_config": {"enabled": True, "permission_policy": ALLOW},
        "configs": [{"name": "send/it", "enabled": True, "permission_policy": ASK}],
    }
    for server in SERVERS
]


def ask_server(tool: str, server: str = "docs", **arguments):
    """A call of a server's tool, by the name that the model sees."""
    return use(model_name(server, tool), **arguments)


def server_tools(server):
    """What a server lists."""
    return [
        ServerTool(server["name"], name, f"{name}.", {"type": "object"}, repeatable, server["url"])
        for name, repeatable in SERVER_TOOLS.items()
    ]


def calm_server(call) -> Reaction:
    """Two seconds, then an answer that names the call's input."""
    return Reaction(Outcome.text(f"{call.server} {call.tool} {call.arguments.get('n')}"), 2.0)


def agent(model: str, *, servers: bool = False):
    """An agent's snapshot as a session holds it."""
    return {
        "type": "agent",
        "id": f"agent_{model}",
        "version": 1,
        "name": model,
        "description": None,
        "model": {"id": model, "speed": "standard"},
        "system": f"You are {model}.",
        "tools": [TOOLSET, LOOKUP, *(SERVER_TOOLSETS if servers else ())],
        "mcp_servers": SERVERS if servers else [],
        "skills": [],
    }


def calm_tool(call) -> Behaviour:
    """Two seconds, then an answer that names the call's input."""
    return Behaviour(Outcome.text(f"{call.tool} {call.arguments.get('n')}"), 2.0)


JUDGE = "judge"
DECISIONS = ("allow", "deny", "ask", "allow")


def decision(call_input) -> str:
    """What the judge thinks of a call, by its number."""
    return DECISIONS[call_input.get("n", 0) % len(DECISIONS)]


def judge(request) -> Answer:
    """The judge's answer to a question."""
    asked = json.loads(request.messages[0]["content"][0]["text"])
    return say(json.dumps({"decision": decision(asked["input"]), "reason": "So it is."}))


PRICE = Price(rates("500", "1000"), "simulation")
"""A request of a simulation costs some cents."""


def cents(amount: int):
    """A budget."""
    money = {"amount": str(amount), "currency": "USD"}
    return {"type": "limit", "max_list_cost": money}


PROMPT = Habits(gap_seconds=1.0, deny=0.0)


@dataclass
class Scenario:
    """A fixed scenario: one session, a model that answers in turn, one client."""

    name: str
    answers: tuple[Answer, ...]
    texts: tuple[str, ...] = ("begin",)
    child_answers: tuple[Answer, ...] = ()
    """With some, the session has a second thread that starts with the first."""
    habits: Habits = PROMPT
    stable: bool = True
    """The conversation is the same whatever goes wrong."""
    pace: dict = field(default_factory=dict)
    behave: object = staticmethod(calm_tool)
    servers: bool = False
    """The agents have MCP servers."""
    listing: object = staticmethod(server_tools)
    react: object = staticmethod(calm_server)
    latency: float = 0.02
    """Up to so many seconds for a port call."""
    rate_stop: float = 0.0
    rate_loss: float = 0.0
    skill: Skill | None = None
    """With one, a self-hosted worker runs the tools."""
    budget: int | None = None
    """Cents; with some, the models have a price."""
    seconds: float | None = None
    """How long the session may run in all."""

    judged: bool = False
    """A judge decides on calls whose policy is `auto`."""
    repositories: tuple[tuple[str, ...], ...] = ()
    """Per repository: the kinds of failures before it can be checked out."""

    def price(self, name):
        """Of the model of this name."""
        return PRICE if self.budget else None

    def models(self, world):
        """Sources of the scripts by model name."""
        spare = () if self.stable else (say("And more."),) * 6
        main = in_turn((*self.answers, *spare))
        return {MAIN: main, CHILD: in_turn((*self.child_answers, *spare)), JUDGE: judge}

    async def begin(self, world):
        """Create the session; its client."""
        client = await a_session(
            world,
            self.habits,
            list(self.texts),
            child=bool(self.child_answers),
            servers=self.servers,
            budget=self.budget,
            skill=self.skill,
            seconds=self.seconds,
            repositories=len(self.repositories),
        )
        return [client]


async def a_session(
    world,
    habits: Habits,
    texts,
    *,
    child: bool,
    servers: bool = False,
    workspace: str = "wrkspc_a",
    skill=None,
    budget=None,
    seconds=None,
    repositories=0,
    priority=0,
):
    """A session whose first message comes with its creation; with a child thread when asked for.

    With a `skill` it is on a self-hosted environment.
    """
    where = "self_hosted" if skill else "cloud"
    ids, now = world.ids, world.clock.now()
    session_id, primary = ids.new("sesn"), ids.new("sthr")
    event_id = ids.new("sevt")
    content = [{"type": "text", "text": texts[0]}]
    payload = {"id": event_id, "type": "user.message", "content": content, "processed_at": None}
    await world.log.create(
        NewSession(
            id=session_id,
            workspace_id=workspace,
            primary_thread_id=primary,
            agent_id="agent_main",
            agent_version=1,
            agent=agent(MAIN, servers=servers),
            environment_id="env_1",
            environment={
                "type": "environment",
                "id": "env_1",
                "config": {"type": where},
                "agentstead": {"limits": {"session_seconds": seconds}} if seconds else {},
            },
            title=None,
            metadata={},
            resources=tuple(resource(number) for number in range(repositories)),
            vault_ids=(),
            created_at=now,
            incoming=(Incoming(event_id, "user.message", None, payload),),
            budget=cents(budget) if budget else None,
            priority=priority,
        )
    )
    if child:
        entries = child_begins(world, primary, now, servers=servers)
        await world.log.change(workspace, session_id, lambda _: Change({}, entries))
    client = Client(world, workspace, session_id, habits, texts[1:])
    if skill:
        world.loop.create_task(Hands(client, skill).run())
    client.accepted.append(event_id)
    return client


def child_begins(world, primary: str, now: float, *, servers: bool):
    """A second thread with a task, as a delegation writes it."""
    thread_id = world.ids.new("sthr")

    def event(kind, thread, fields, *, private=None, primary_view=True):
        event_id = world.ids.new("sevt")
        payload = {"id": event_id, "type": kind, **fields, "processed_at": rfc3339(now)}
        return Event(event_id, kind, thread, payload, now, private=private, primary=primary_view)

    named = {"session_thread_id": thread_id, "agent_name": CHILD}
    task = {
        "from_session_thread_id": primary,
        "content": [{"type": "text", "text": CHILD_TASK}],
    }
    return (
        event(
            "session.thread_created",
            primary,
            {**named, "workflow_run_id": None},
            private={"agent": agent(CHILD, servers=servers)},
        ),
        event("agent.thread_message_received", thread_id, task, primary_view=False),
    )


AFTER = Habits(gap_seconds=1.0, deny=0.0, eager=False)

GOLDEN = (
    Scenario("text", (say("Hello."), say("Again.")), ("begin", "again"), stable=False),
    Scenario(
        "parallel tools",
        (
            say(thinking("Hm.", "sig1"), "I look.", use("bash", n=1), use("read", n=2)),
            say(use("grep", n=3), use("bash", n=4), use("nothing", n=5), use("glob", n=6)),
            say("Done."),
        ),
    ),
    Scenario(
        "asks", (say(use("write", n=1), use("bash", n=2)), say(use("edit", n=3)), say("Done."))
    ),
    Scenario(
        "asks after the idle",
        (say(use("write", n=1), use("bash", n=2), use("write", n=3)), say("Done.")),
        habits=replace(AFTER, twice=1.0),
    ),
    Scenario(
        "custom, partial answers",
        (say("Look.", use("lookup", n=1), use("lookup", n=2), use("write", n=3)), say("Done.")),
        habits=replace(AFTER, late_seconds=2.0),
    ),
    Scenario("custom, before the idle", (say(use("lookup", n=1), use("bash", n=2)), say("Done."))),
    Scenario("denied", (say(use("write", n=1)), say("Pity.")), habits=replace(AFTER, deny=1.0)),
    Scenario(
        "interrupt",
        (say(use("bash", n=1), use("write", n=2)), say("Done."), say("More."), say("Fine.")),
        ("begin", "go on"),
        habits=Habits(gap_seconds=4.0, interrupts=2, deny=0.0),
        stable=False,
    ),
    Scenario(
        "retries",
        (
            fail("overloaded"),
            fail("rate_limited", retry_after=3.0),
            cut("I was going", " to say"),
            say(use("bash", n=1)),
            fail("failed"),
            say("Done."),
        ),
        stable=False,
    ),
    Scenario(
        "exhausted",
        (fail("billing", retryable=False), say("Hello.")),
        ("begin", "once more"),
        habits=Habits(gap_seconds=20.0),
        stable=False,
    ),
    Scenario("refusal", (refuse("No."), refuse("No.")), ("begin", "please"), stable=False),
    Scenario(
        "messages while running",
        (say(use("bash", n=1)), say(use("bash", n=2)), say("Done."), say("Yes."), say("Yes.")),
        ("begin", "and this", "and that"),
        stable=False,
    ),
    Scenario(
        "two threads",
        (say(use("bash", n=1)), say("Done.")),
        child_answers=(say(use("write", n=11), use("bash", n=12)), say("My part is done.")),
    ),
    Scenario(
        "two threads, both ask",
        (say(use("write", n=1), use("lookup", n=2)), say("Done.")),
        child_answers=(say(use("write", n=11)), say(use("lookup", n=12)), say("My part is done.")),
        habits=AFTER,
    ),
    Scenario(
        "servers, harmless to repeat",
        (
            say(ask_server("look", n=1), ask_server("look", "more", n=2), use("bash", n=3)),
            say(ask_server("look", n=4)),
            say("Done."),
        ),
        servers=True,
    ),
    Scenario(
        "servers",
        (
            say(ask_server("put", n=1), ask_server("put", "more", n=2), use("bash", n=3)),
            say(ask_server("send/it", n=4), ask_server("put", n=5)),
            say("Done."),
        ),
        servers=True,
        stable=False,
    ),
    Scenario(
        "servers, interrupted",
        (say(ask_server("put", n=1), ask_server("send/it", n=2)), say("Done."), say("More.")),
        ("begin", "go on"),
        habits=Habits(gap_seconds=4.0, interrupts=2, deny=0.0),
        servers=True,
        stable=False,
    ),
    Scenario(
        "two threads, interrupted while both ask",
        (say(use("write", n=1), use("lookup", n=2)), say("Done.")),
        child_answers=(say(use("write", n=11)), say("My part is done.")),
        habits=Habits(gap_seconds=4.0, interrupts=1, all_threads=True, silent=1.0),
        stable=False,
    ),
    Scenario(
        "self-hosted",
        (
            say("I look.", use("bash", n=1), use("read", n=2), use("nothing", n=3)),
            say(use("write", n=4), use("lookup", n=5), use("bash", n=6)),
            say("Done."),
        ),
        habits=replace(AFTER, late_seconds=2.0),
        skill=Skill(),
    ),
    Scenario(
        "self-hosted, denied",
        (say(use("write", n=1)), say(use("bash", n=2)), say("Done.")),
        habits=replace(AFTER, deny=1.0),
        skill=Skill(twice=1.0),
    ),
    Scenario(
        "self-hosted, worker dies",
        (say(use("bash", n=1), use("write", n=2)), say(use("grep", n=3)), say("Done.")),
        habits=Habits(gap_seconds=4.0, interrupts=1, deny=0.0),
        stable=False,
        skill=Skill(dies=0.5, twice=0.5),
    ),
    Scenario(
        "two threads, self-hosted",
        (say(use("bash", n=1), use("lookup", n=2)), say("Done.")),
        child_answers=(say(use("write", n=11), use("bash", n=12)), say("My part is done.")),
        habits=AFTER,
        skill=Skill(),
    ),
    Scenario(
        "judged",
        (
            say(use("edit", n=4), use("edit", n=5), use("edit", n=6), use("bash", n=7)),
            say("Done."),
        ),
        judged=True,
        stable=False,
    ),
    Scenario(
        "repositories of two threads, interrupted",
        (say(use("bash", n=1)), say("Done.")),
        child_answers=(say("My part is done."),),
        habits=Habits(gap_seconds=4.0, interrupts=1, deny=0.0),
        repositories=(("clone",), ("checkout",)),
        stable=False,
    ),
    Scenario(
        "a budget, raised and removed",
        (
            say("I look.", use("bash", n=1)),
            say(use("write", n=2), use("bash", n=3)),
            say(use("bash", n=4)),
            say("Done."),
        ),
        habits=Habits(gap_seconds=1.0, deny=0.0, raises=2, removes=True),
        budget=1,
    ),
    Scenario(
        "a budget, kept",
        (say(use("write", n=1), use("bash", n=2)), say("Never.")),
        habits=AFTER,
        budget=1,
    ),
    Scenario(
        "out of time",
        (
            say(use("bash", n=1), use("write", n=2)),
            say(use("bash", n=3), use("lookup", n=4)),
            say(use("bash", n=5)),
            say("Done."),
        ),
        ("begin", "go on"),
        child_answers=(say(use("bash", n=11)), say(use("bash", n=12)), say("My part is done.")),
        habits=Habits(gap_seconds=6.0, deny=0.0),
        stable=False,
        seconds=3.0,
    ),
    Scenario(
        "stopped and lifted",
        (
            say(use("bash", n=1), use("write", n=2)),
            say(use("bash", n=3)),
            say("Done."),
        ),
        ("begin", "go on"),
        habits=Habits(gap_seconds=4.0, deny=0.0, stops=2, stop_seconds=9.0),
        stable=False,
    ),
    Scenario(
        "in circles",
        (say(use("bash", n=1)),) * 9,
        habits=PROMPT,
        behave=lambda _: Behaviour(Outcome.text("failed", is_error=True), 0.1),
        pace={"repeats_max": 2},
        stable=False,
    ),
    Scenario(
        "a budget of two threads",
        (say(use("bash", n=1)), say(use("write", n=2)), say("Done.")),
        child_answers=(say(use("bash", n=11)), say("My part is done.")),
        habits=Habits(gap_seconds=1.0, deny=0.0, raises=20, step_cents=1),
        budget=1,
    ),
)


class Drawn:
    """A scenario drawn from the seed: everything that can vary does."""

    def __init__(self, rng: Random, hosted: Random | None = None) -> None:
        """`hosted` draws what concerns self-hosted workers, where they are to be drawn at all."""
        self.rng = rng
        self.hosted = hosted
        self.name = "drawn"
        self.sessions = rng.choice((1, 1, 2, 3))
        self.child = rng.random() < 0.3
        self.rate_tools = rng.choice((0.3, 0.6, 0.8))
        self.rate_fault = rng.choice((0.0, 0.0, 0.1, 0.4))
        self.rate_hopeless = rng.choice((0.0, 0.0, 0.05))
        self.rate_refusal = rng.choice((0.0, 0.0, 0.1))
        self.rate_odd = rng.choice((0.0, 0.1))
        self.rate_slow = rng.choice((0.0, 0.2, 0.5))
        self.rate_start_fault = rng.choice((0.0, 0.0, 0.2))
        self.latency = rng.choice((0.02, 0.02, 0.02, 0.5))
        self.rate_stop = rng.choice((0.0, 0.5))
        """How likely a worker is stopped and another one started."""
        self.rate_loss = rng.choice((0.0, 0.0, 0.3))
        """How likely a sandbox's supervisor dies, at each look."""
        self.rounds_max = rng.choice((1, 3, 6))
        self.pace = {"sessions_max": rng.choice((1, 50)), "retries_max": rng.choice((2, 8))}
        self.numbers = 0
        self.more = Random(str(rng.getstate()[1][:2]))
        """Drawn from apart, so that what was drawn before there were servers is drawn again."""
        self.servers = self.more.random() < 0.4
        self.rate_down = self.more.choice((0.0, 0.0, 0.3))
        self.rate_gone = self.more.choice((0.0, 0.2))
        """How likely a tool is missing in a server's list."""
        self.purse = Random()
        self.purse.setstate(rng.getstate())
        """What is drawn of budgets leaves the rest of a seed's run as it was."""
        self.rate_budget = self.purse.choice((0.0, 0.5, 1.0))
        self.hourglass = Random()
        self.hourglass.setstate(self.purse.getstate())
        """What is drawn of time, apart too."""
        self.rate_hurry = self.hourglass.choice((0.0, 0.0, 0.5))
        self.switch = Random(str(rng.getstate()[1][4:6]))
        """What is drawn of stops, apart too."""
        self.judged = self.purse.random() < 0.5
        self.rate_misjudged = self.purse.choice((0.0, 0.3))
        kinds = ("clone", "clone", "authentication", "checkout")
        self.shelf = Random(str(rng.getstate()[1][2:4]))
        self.repositories = tuple(
            tuple(self.shelf.choices(kinds, k=self.shelf.choice((0, 1, 4))))
            for _ in range(self.shelf.choice((0, 0, 1, 2)))
        )

    def price(self, name):
        return PRICE

    def budget(self):
        """Cents, or none."""
        if self.purse.random() >= self.rate_budget:
            return None
        return self.purse.choice((1, 8, 30, 200))

    def seconds(self):
        """How long a session may run, or None."""
        if self.hourglass.random() >= self.rate_hurry:
            return None
        return self.hourglass.choice((1.0, 5.0, 30.0))

    def habits(self) -> Habits:
        rng = self.rng
        return Habits(
            gap_seconds=rng.choice((1.0, 5.0, 20.0)),
            interrupts=rng.choice((0, 0, 1, 3)),
            eager=rng.random() < 0.5,
            together=rng.random() < 0.3,
            late_seconds=rng.choice((0.0, 1.0, 20.0)),
            twice=rng.choice((0.0, 0.5)),
            deny=rng.choice((0.0, 0.3)),
            silent=rng.choice((0.0, 0.0, 0.1)),
            renames=rng.choice((0, 0, 2)),
            raises=self.purse.choice((0, 1, 5)),
            step_cents=self.purse.choice((1, 10, 60)),
            removes=self.purse.random() < 0.3,
            rebudgets=self.purse.choice((0, 0, 2)),
            stops=self.switch.choice((0, 0, 0, 1, 2)),
            stop_seconds=self.switch.choice((2.0, 8.0, 20.0)),
        )

    def models(self, world):
        self.world = world
        return {MAIN: self.source, CHILD: self.source, JUDGE: self.judge}

    async def begin(self, world):
        clients = []
        for number in range(world.crowd.sessions or self.sessions):
            habits = self.habits()
            texts = [f"message {number}" for number in range(self.rng.choice((1, 2, 3, 5)))]
            workspace = self.rng.choice(("wrkspc_a", "wrkspc_b"))
            clients.append(
                await a_session(
                    world,
                    habits,
                    texts,
                    child=self.child,
                    servers=self.servers,
                    workspace=workspace,
                    skill=self.skill(),
                    budget=self.budget(),
                    seconds=self.seconds(),
                    repositories=len(self.repositories),
                    priority=world.crowd.priorities[number % len(world.crowd.priorities)],
                )
            )
        return clients

    def skill(self) -> Skill | None:
        """One session in four is on a self-hosted environment."""
        rng = self.hosted
        if rng is None or rng.random() >= 0.25:
            return None
        return Skill(
            seconds=rng.choice((0.1, 2.0, 8.0)),
            dies=rng.choice((0.0, 0.3)),
            away_seconds=rng.choice((1.0, 20.0)),
            twice=rng.choice((0.0, 0.5)),
            failed=rng.choice((0.0, 0.3)),
        )

    def source(self, request) -> Answer:
        """An answer that depends on nothing but chance, but ends in the end."""
        rng = self.rng
        if not self.world.calm:
            if rng.random() < self.rate_hopeless:
                return fail(rng.choice(("billing", "auth", "invalid", "too_long")), retryable=False)
            if rng.random() < self.rate_fault:
                return self.bad()
        answer = self.good(request)
        if not self.world.calm and rng.random() < self.rate_slow:
            answer = answer.slow(rng.choice((0.1, 2.0, 8.0)), rng.choice((0.0, 0.5)))
        return answer

    def judge(self, request) -> Answer:
        """A judge that is sometimes slow, broken, or says what nobody asked for."""
        if self.purse.random() >= self.rate_misjudged:
            return judge(request)
        return self.purse.choice((
            fail("overloaded"), cut("{"), say("allow"), refuse("No."), Answer(()),
            judge(request).slow(60.0), say('{"decision": "allow"}'),
        ))  # fmt: skip

    def bad(self) -> Answer:
        rng = self.rng
        kind = rng.choice(("overloaded", "rate_limited", "failed", "cut"))
        if kind == "cut":
            return cut("I was about to", " say", parts=rng.choice((0, 1, 2, 3)))
        return fail(kind, retry_after=rng.choice((None, 1.0, 7.0)))

    def good(self, request) -> Answer:
        rng = self.rng
        if rng.random() < self.rate_refusal:
            return refuse(rng.choice((None, "No.")))
        if rng.random() < self.rate_odd:
            return rng.choice(
                (
                    Answer(()),
                    say(" "),
                    replace(say("I had more to s"), stop_reason="max_tokens"),
                    replace(say(), stop_reason="context_window"),
                )
            )
        if rounds(request) < self.rounds_max and rng.random() < self.rate_tools:
            return say(*self.thoughts(), *self.words(), *self.uses())
        return say(*self.thoughts(), f"Done {self.number()}.")

    def uses(self):
        names = ("bash", "bash", "read", "write", "edit", "glob", "lookup", "nothing")
        count = self.rng.choice((1, 1, 2, 4))
        found = [use(self.rng.choice(names), n=self.number()) for _ in range(count)]
        if self.servers:
            found += [self.server_use() for _ in range(self.more.choice((0, 1, 2)))]
        return found

    def server_use(self):
        tool = self.more.choice((*SERVER_TOOLS, "put", "nothing"))
        return ask_server(tool, self.more.choice(("docs", "more")), n=self.number())

    def listing(self, server):
        if not self.world.calm and self.more.random() < self.rate_down:
            raise McpFault("It is down.", kind=self.more.choice(("unreachable", "auth")))
        return [tool for tool in server_tools(server) if self.more.random() >= self.rate_gone]

    def react(self, call) -> Reaction:
        seconds = self.more.choice((0.0, 0.0, 0.5, 3.0, 12.0))
        fault = None
        if not self.world.calm and self.more.random() < 0.1:
            fault = McpFault("It broke.", kind=self.more.choice(("cut", "refused")))
        outcome = self.more.choice(
            (calm_server(call).outcome, Outcome(()), Outcome.text("failed", is_error=True))
        )
        return Reaction(outcome, min(seconds, 1.0) if self.world.calm else seconds, fault)

    def thoughts(self):
        if self.rng.random() < 0.3:
            return [thinking(f"Hm {self.number()}.", f"sig{self.numbers}")]
        return []

    def words(self):
        return self.rng.choice(([], ["I look."], ["I look", "and look."], ["  "]))

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def behave(self, call) -> Behaviour:
        rng = self.rng
        if not self.world.calm and rng.random() < self.rate_start_fault:
            fault = SandboxFault("cannot start: no space left", kind="start")
            return Behaviour(start_fault=fault)
        outcome = rng.choice(
            (
                Outcome.text(f"{call.tool} {call.arguments.get('n')}"),
                Outcome.text("failed", is_error=True),
                Outcome(()),
                Outcome.text(""),
            )
        )
        seconds = rng.choice((0.0, 0.0, 0.5, 3.0, 12.0))
        return Behaviour(outcome, min(seconds, 1.0) if self.world.calm else seconds)


def rounds(request) -> int:
    """Tool rounds since the user last said something."""
    count = 0
    for message in reversed(request.messages):
        kinds = {block["type"] for block in message["content"]}
        if message["role"] == "user" and "text" in kinds:
            return count
        count += "tool_use" in kinds
    return count
