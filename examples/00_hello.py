"""The first session, with the official SDK against a running server.

AGENTSTEAD_API_KEY=… python examples/00_hello.py          (AGENTSTEAD_BASE_URL: another server)
"""

import os

from anthropic import Anthropic

url = os.environ.get("AGENTSTEAD_BASE_URL", "http://127.0.0.1:8080")
client = Anthropic(base_url=url, api_key=os.environ["AGENTSTEAD_API_KEY"])
tools = [{"type": "agent_toolset_20260401"}]
agent = client.beta.agents.create(name="first", model="scripted-demo", tools=tools)
place = client.beta.environments.create(name="first")
session = client.beta.sessions.create(agent=agent.id, environment_id=place.id)
with client.beta.sessions.events.stream(session.id) as stream:
    hello = {"type": "user.message", "content": [{"type": "text", "text": "Hello"}]}
    client.beta.sessions.events.send(session.id, events=[hello])
    for event in stream:
        print(event.type, *[block.text for block in getattr(event, "content", []) or []])
        if event.type == "session.status_idle":
            break
