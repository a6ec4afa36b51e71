"""A run with an official Python SDK of any version, by itself: `python scenario.py URL KEY MODEL`.

Promises: only the SDK is needed; it prints one JSON object of what it saw, for the test to judge.
"""

import json
import sys

import anthropic

LOOKUP = {
    "type": "custom",
    "name": "lookup",
    "description": "Look up an order",
    "input_schema": {"type": "object", "properties": {"n": {"type": "integer"}}},
}


def main(url: str, key: str, model: str) -> dict:
    """Drive one session from its agent's birth to everybody's archive."""
    client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=20)
    beta = client.beta
    seen: dict = {"sdk": anthropic.__version__}
    agent = beta.agents.create(name="Fixer", model=model, tools=[LOOKUP], metadata={"a": "1"})
    agent = beta.agents.update(agent.id, version=1, system="Be brief.")
    seen["versions"] = [one.version for one in beta.agents.versions.list(agent.id)]
    environment = beta.environments.create(name="plain")
    session = beta.sessions.create(agent=agent.id, environment_id=environment.id, title="A run")
    seen["status"] = [session.status]
    streamed, deltas = [], []
    with beta.sessions.events.stream(session.id, event_deltas=["agent.message"]) as stream:
        text = {"type": "text", "text": "lookup"}
        beta.sessions.events.send(session.id, events=[{"type": "user.message", "content": [text]}])
        for event in stream:
            if event.type in ("event_start", "event_delta"):
                deltas.append(event.type)
                continue
            streamed.append(event)
            if event.type != "session.status_idle":
                continue
            if event.stop_reason.type != "requires_action":
                seen["stop_reason"] = event.stop_reason.type
                break
            beta.sessions.events.send(session.id, events=[answer(one) for one in event.stop_reason.event_ids])  # fmt: skip
    seen["streamed"] = [[one.id, one.type] for one in streamed]
    seen["previews"] = sorted(set(deltas))
    seen["texts"] = [
        part.text for one in streamed if one.type == "agent.message" for part in one.content
    ]
    after = streamed[2].id
    seen["resumed"] = [
        resumed(beta.sessions.events.stream(session.id, **how))
        for how in ({"extra_headers": {"Last-Event-ID": after}}, {"extra_query": {"after": after}})
    ]
    events = beta.sessions.events.list(session.id, limit=2)
    seen["listed"] = [[one.id, one.type] for one in events]
    seen["status"].append(beta.sessions.retrieve(session.id).status)
    seen["sessions"] = [one.title for one in beta.sessions.list(limit=1)]
    seen["threads"] = [one.status for one in beta.sessions.threads.list(session.id)]
    seen["status"].append(beta.sessions.archive(session.id).status)
    beta.environments.archive(environment.id)
    seen["archived"] = beta.agents.archive(agent.id).archived_at is not None
    seen["left"] = [len(list(one.list())) for one in (beta.sessions, beta.environments, beta.agents)]  # fmt: skip
    try:
        beta.agents.retrieve("agent_none")
    except anthropic.NotFoundError as error:
        seen["error"] = error.body["error"]["type"]
    return seen


def resumed(opened) -> list:
    """What a stream brings that goes on after an event, up to the end of the turn."""
    found = []
    with opened as stream:
        for event in stream:
            found.append([event.id, event.type])
            if event.type == "session.status_idle" and event.stop_reason.type == "end_turn":
                break
    return found


def answer(use_id: str) -> dict:
    """The result of a custom tool's call."""
    return {
        "type": "user.custom_tool_result",
        "custom_tool_use_id": use_id,
        "content": [{"type": "text", "text": "shipped"}],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
