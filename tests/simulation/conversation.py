"""What was said in a session, without when and by whose hands: the same whatever goes wrong on the way."""

CALL_NAMES = ("tool_use_id", "mcp_tool_use_id", "custom_tool_use_id")
USES = ("agent.tool_use", "agent.mcp_tool_use", "agent.custom_tool_use")
RESULTS = (
    "agent.tool_result",
    "agent.mcp_tool_result",
    "user.custom_tool_result",
    "user.tool_result",
)
SAID = ("user.message", "agent.message", "agent.thread_message_received")


def conversation(session) -> list[list]:
    """Per thread, in the order of their creation: texts, and calls each with its result."""
    threads: dict[str, list] = {session.row.primary_thread_id: []}
    calls: dict[str, list] = {}
    for event in session.events:
        said = threads.setdefault(event.thread_id, [])
        payload = event.payload
        if event.type in SAID:
            said.append([event.type, [block["text"] for block in payload["content"]]])
        elif event.type in USES:
            entry = [event.type, payload["name"], payload["input"], None]
            calls[event.id] = entry
            said.append(entry)
        elif event.type in RESULTS:
            call = next(payload[name] for name in CALL_NAMES if name in payload)
            calls[call][3] = [payload["content"], bool(payload.get("is_error"))]
    return list(threads.values())


def conversations(world) -> list:
    """Of all sessions."""
    return [conversation(session) for session in world.log.sessions.values()]
