"""Tool calls: the first of a session, which starts its sandbox, and later ones.

The time of a call is from its `agent.tool_use` to its `agent.tool_result` in the log: what it adds
over the model's time.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.processes import Platform, platform

from bench.report import keep, line, milliseconds, percentile, title
from bench.served import call_seconds

SESSIONS = 15
CALLS = 12


def times(place: Platform) -> Iterator[list[float]]:
    """Seconds of each call, per session."""
    client = place.client()
    sessions = client.beta.sessions
    agent = client.beta.agents.create(
        name="bench", model="scripted-demo", tools=[{"type": "agent_toolset_20260401"}]
    )
    environment = client.beta.environments.create(name="bench")
    for _ in range(SESSIONS):
        session = sessions.create(agent=agent.id, environment_id=environment.id)
        with sessions.events.stream(session.id) as stream:
            content = [{"type": "text", "text": "go"}]
            sessions.events.send(session.id, events=[{"type": "user.message", "content": content}])
            spent = call_seconds(stream)
        assert len(spent) == CALLS
        yield spent


def main() -> None:
    """Measure and print."""
    title("tool calls over the model's time (bars: first 250 ms, later 10 ms)")
    call = {"tools": [{"name": "bash", "input": {"command": "true"}}]}
    scenario = {"scripts": [{"turns": [call] * CALLS + [{"text": "done"}]}]}
    with TemporaryDirectory() as folder:
        file = Path(folder, "scenario.json")
        file.write_text(json.dumps(scenario))
        with platform(scripted_file=str(file)) as place:
            place.serve()
            spent = list(times(place))
    first, later = [each[0] for each in spent], [one for each in spent for one in each[1:]]
    line("first call of a session", milliseconds(first))
    line("later calls", milliseconds(later))
    keep("first_call", first_p50=percentile(first, 0.5), later_p50=percentile(later, 0.5))


if __name__ == "__main__":
    main()
