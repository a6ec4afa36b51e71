"""The server of notes: an MCP server whose one tool leaves a mark in a ledger outside of the platform.

Speaks as much of the protocol as a client needs to list and call the tool over streamable HTTP.
"""

import json
from collections import Counter
from typing import Any

from agentstead.chaos.listener import Exchange
from agentstead.clock import Clock

UNKNOWN_METHOD = -32601
TOOL = {
    "name": "note",
    "description": "Note a token. It must be called once for each token.",
    "inputSchema": {
        "type": "object",
        "properties": {"token": {"type": "string"}, "seconds": {"type": "number"}},
        "required": ["token", "seconds"],
    },
}


class Notes:
    """The server, as a `Listener`'s answer."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.marks: Counter[str] = Counter()
        """Token → how often it was noted."""

    async def answer(self, exchange: Exchange) -> None:
        """One request of a client."""
        if exchange.method != "POST":
            await exchange.answer(200 if exchange.method == "DELETE" else 405)
            return
        asked = json.loads(exchange.body)
        if "id" not in asked:
            await exchange.answer(202)
            return
        said = {"jsonrpc": "2.0", "id": asked["id"], **await self._said(asked)}
        await exchange.answer(200, said)

    async def _said(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked["method"]:
            case "initialize":
                return {
                    "result": {
                        "protocolVersion": asked["params"]["protocolVersion"],
                        "capabilities": {"tools": {}},
                        "serverInfo": {"name": "notes", "version": "1"},
                    }
                }
            case "ping":
                return {"result": {}}
            case "tools/list":
                return {"result": {"tools": [TOOL]}}
            case "tools/call":
                return {"result": await self._note(asked["params"]["arguments"])}
            case method:
                return {"error": {"code": UNKNOWN_METHOD, "message": f"no method {method}"}}

    async def _note(self, given: dict[str, Any]) -> dict[str, Any]:
        self.marks[given["token"]] += 1
        await self.clock.sleep(given["seconds"])
        return {"content": [{"type": "text", "text": f"ran {given['token']}"}]}
