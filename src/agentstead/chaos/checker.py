"""What a chaos run has to show: nothing lost, nothing twice, nothing untrue. Pure: evidence in, findings out.

The evidence comes from outside: what the client sent, what the HTTP API lists, the marks that tool
calls left, the requests that the model upstream got.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentstead.chaos.conversation import text_of
from agentstead.chaos.jobs import NOTE, Call, Job

Event = Mapping[str, Any]
UNKNOWN = ("The outcome of this call is not known", "Outcome unknown")
"""How a result begins when it cannot be known whether the call took effect."""
NOT_RUN = ("not run", "could not be started", "was not called", "nothing was called")
"""What a result says when the call had no effect at all; one that was cut short, or failed, may have had some."""
USES = ("agent.tool_use", "agent.mcp_tool_use")
RESULTS = {"agent.tool_result": "tool_use_id", "agent.mcp_tool_result": "mcp_tool_use_id"}
BAD = ("lost", "doubled", "stuck", "invalid", "untrue")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One session, seen from outside."""

    name: str
    jobs: Sequence[Job]
    events: Sequence[Event] | None
    """As the API lists them; None: it does not know the session."""
    marks: Mapping[str, int]
    """Token → how often a call with it took effect."""
    stuck: str = ""
    """Why it counts as stuck; empty: it does not."""
    unsure: str = ""
    """The name of a job whose sending was cut off to the last, so that it may not be there."""


@dataclass
class Findings:
    """What was found; the lists of what must not be hold a sentence each."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    """Requests to the model that its API would refuse, or that tell another story."""
    untrue: list[str] = field(default_factory=list)
    """Results and marks that contradict each other."""
    jobs: int = 0
    steps: int = 0
    """Model answers."""
    calls: int = 0
    unknown: int = 0
    """Calls whose outcome the model was told is not known."""
    refused: int = 0
    """Calls that the model was told did not work."""
    refusals: Counter[str] = field(default_factory=Counter)

    @property
    def bad(self) -> int:
        """How much is wrong."""
        return sum(len(getattr(self, name)) for name in BAD)


def examine(everything: Sequence[Evidence], invalid: Sequence[str] = ()) -> Findings:
    """Judge all sessions together."""
    findings = Findings(invalid=list(invalid))
    for evidence in everything:
        if evidence.stuck:
            findings.stuck.append(f"{evidence.name}: {evidence.stuck}")
        if evidence.events is None:
            findings.lost.append(f"{evidence.name}: the session is not there any more")
        else:
            Examination(evidence, evidence.events, findings).run()
    return findings


class Examination:
    """Of one session."""

    def __init__(self, evidence: Evidence, events: Sequence[Event], findings: Findings) -> None:
        self.evidence = evidence
        self.found = findings
        self.sent = Counter(words(one) for one in events if one["type"] == "user.message")
        self.taken = {
            words(one) for one in events if one["type"] == "user.message" and one["processed_at"]
        }
        self.said = Counter(words(one) for one in events if one["type"] == "agent.message")
        self.uses: dict[str, list[str]] = defaultdict(list)
        """Token → ids of the uses with it."""
        self.results: dict[str, list[Event]] = defaultdict(list)
        for one in events:
            if one["type"] in USES:
                self.uses[token_of(one)].append(str(one["id"]))
            elif one["type"] in RESULTS:
                self.results[str(one[RESULTS[one["type"]]])].append(one)
        self.errors = [one["error"]["message"] for one in events if one["type"] == "session.error"]
        repeated = Counter(one["id"] for one in events)
        self.double(one for one, times in repeated.items() if times > 1)

    def run(self) -> None:
        """All that can be said about it."""
        for job in self.evidence.jobs:
            if job.name == self.evidence.unsure and not self.sent[job.message]:
                continue
            self.found.jobs += 1
            self.job(job)
            for call in job.calls:
                self.call(call)
        asked = {call.token for job in self.evidence.jobs for call in job.calls}
        for token in {*self.evidence.marks, *self.uses} - asked:
            self.found.untrue.append(f"{token}: nobody asked for this call")
        known = {use for uses in self.uses.values() for use in uses}
        for use in self.results.keys() - known:
            self.found.untrue.append(f"{self.evidence.name}: a result of {use}, which is no call")

    def job(self, job: Job) -> None:
        """Its message and its end."""
        self.once(self.sent[job.message], f"{job.name}: its message")
        if self.sent[job.message] and job.message not in self.taken:
            self.lose(f"{job.name}: its message was never taken in")
        last = f" (last error: {self.errors[-1]})" if self.errors else ""
        self.once(self.said[job.end], f"{job.name}: its end", last)
        self.found.steps += self.said[job.end]
        for calls in job.rounds:
            self.found.steps += any(self.uses[call.token] for call in calls)

    def call(self, call: Call) -> None:
        """One use, one result, and marks that agree with it."""
        uses, marks = self.uses[call.token], self.evidence.marks.get(call.token, 0)
        self.once(len(uses), f"{call.token}: its use")
        if marks > 1:
            self.double([f"{call.token}: it took effect {marks} times"])
        for use in uses:
            results = self.results[use]
            self.once(len(results), f"{call.token}: its result")
            for result in results[:1]:
                self.result(call, result, marks)

    def result(self, call: Call, result: Event, marks: int) -> None:
        """Whether it tells the truth."""
        self.found.calls += 1
        text = text_of(result.get("content") or ())
        if text.startswith(UNKNOWN):
            self.found.unknown += 1
        elif result.get("is_error"):
            self.found.refused += 1
            self.found.refusals[text[:120]] += 1
            if marks and any(words in text for words in NOT_RUN):
                self.found.untrue.append(
                    f"{call.token}: it took effect, and is said not to have run: {text}"
                )
        elif call.answer not in text:
            self.found.untrue.append(f"{call.token}: its result is {text!r}")
        elif not marks:
            self.lose(f"{call.token}: it is said to have run, and left no mark")

    def once(self, times: int, what: str, why: str = "") -> None:
        """Whatever has to be there once."""
        if times > 1:
            self.double([f"{what} is there {times} times"])
        elif times == 0:
            self.lose(f"{what} is not there{why}")

    def lose(self, sentence: str) -> None:
        """Something is missing; of a stuck session that is no news."""
        if not self.evidence.stuck:
            self.found.lost.append(sentence)

    def double(self, sentences: "Iterator[str] | Sequence[str]") -> None:
        """Something is there more than once."""
        self.found.doubled.extend(sentences)


def words(event: Event) -> str:
    """The words of a message."""
    return text_of(event.get("content") or ())


def token_of(use: Event) -> str:
    """The token that a call carries."""
    given = use["input"]
    if use["type"] == "agent.mcp_tool_use" or use.get("name") == NOTE:
        return str(given.get("token"))
    return str(given.get("command", "")).rpartition(" ")[2]
