"""What sessions are asked to do: jobs whose course follows from the seed and the job's name alone.

A job is some rounds of tool calls and an end. Each call carries a token that no other call has, and
leaves it at one place outside: `bash` as a line of its session's ledger file, `note` at the server
of notes. So a call that was made twice, or never, shows.
"""

import random
import re
from dataclasses import dataclass
from typing import Any, Literal

JOB = re.compile(r"\bjob ([0-9a-z]+x[0-9]+)\b")
LEDGER = "ledger"
"""The file in a session's workspace."""
SERVER = "notes"
NOTE = f"mcp__{SERVER}__note"
ROUNDS = (2, 4)
CALLS = (1, 2)
SECONDS = (0.05, 0.9)
"""How long a call takes."""

Tool = Literal["bash", "note"]


@dataclass(frozen=True, slots=True)
class Call:
    """One tool call of a job."""

    token: str
    tool: Tool
    seconds: float
    late: bool
    """Whether the mark is left at the end of its time rather than at its beginning."""

    @property
    def name(self) -> str:
        """The tool, as models are offered it."""
        return "bash" if self.tool == "bash" else NOTE

    @property
    def input(self) -> dict[str, Any]:
        """What the tool is given."""
        if self.tool == "note":
            return {"token": self.token, "seconds": self.seconds}
        mark, rest = f"echo {self.token} >> /workspace/{LEDGER}", f"sleep {self.seconds:g}"
        first, then = (rest, mark) if self.late else (mark, rest)
        return {"command": f"{first} && {then} && echo ran {self.token}"}

    @property
    def answer(self) -> str:
        """What the tool says when it has run."""
        return f"ran {self.token}"


@dataclass(frozen=True, slots=True)
class Job:
    """One message of the client and all that follows from it."""

    name: str
    rounds: tuple[tuple[Call, ...], ...]

    @property
    def message(self) -> str:
        """What the client says."""
        return f"job {self.name}"

    @property
    def end(self) -> str:
        """What the agent says when it is done."""
        return f"done {self.name}"

    @property
    def calls(self) -> tuple[Call, ...]:
        """All calls in their order."""
        return tuple(call for one in self.rounds for call in one)


def job(seed: int, name: str) -> Job:
    """The job of this name; the same for ever."""
    rng = random.Random(f"{seed}:{name}")  # noqa: S311  a choice, not a secret
    rounds = []
    for number in range(rng.randint(*ROUNDS)):
        calls = []
        for place in range(rng.randint(*CALLS)):
            tool: Tool = "note" if rng.random() < 0.3 else "bash"
            seconds = round(rng.uniform(*SECONDS), 2)
            calls.append(Call(f"{name}-{number}-{place}", tool, seconds, rng.random() < 0.5))
        rounds.append(tuple(calls))
    return Job(name, tuple(rounds))


def owner(name: str) -> str:
    """The session that a job is given to, by the driver's own name for it."""
    return name.partition("x")[0]
