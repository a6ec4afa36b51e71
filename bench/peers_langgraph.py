"""LangGraph with its Postgres checkpointer: the peer's side of `bench.peers`, in the peers' venv.

An agent of two nodes: the model (scripted: so many tool calls, then a text) and the tools (one that
does nothing). `--durability sync` writes a checkpoint before the next node starts, as the platform
does; `default` is LangGraph's own, which writes while the next node runs. Each session has a
checkpointer of its own over one pool: a single one lets one session write at a time.
"""

import argparse
import asyncio
import json
import operator
import time
from typing import Annotated, Any, TypedDict

import uvloop
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool


class State(TypedDict):
    """The conversation. Plain messages with a plain reducer: less work than LangGraph's own."""

    messages: Annotated[list[dict[str, Any]], operator.add]


class Agent:
    """The graph's nodes, and how many steps they have done."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.done = 0

    async def model(self, state: State) -> dict[str, Any]:
        """The scripted model."""
        said = len(state["messages"]) // 2
        if said >= self.steps:
            return {"messages": [{"role": "assistant", "content": "done"}]}
        use = {
            "type": "tool_use",
            "id": f"toolu_{said}",
            "name": "bash",
            "input": {"command": "true"},
        }
        return {"messages": [{"role": "assistant", "content": [use]}]}

    async def tools(self, state: State) -> dict[str, Any]:
        """The tool that does nothing."""
        use = state["messages"][-1]["content"][0]
        self.done += 1
        result = {"type": "tool_result", "tool_use_id": use["id"], "content": "did nothing"}
        return {"messages": [{"role": "user", "content": [result]}]}

    def graph(self) -> "StateGraph[State]":
        """Model, tools, model, … until the model only talks."""
        graph = StateGraph(State)
        graph.add_node("model", self.model)
        graph.add_node("tools", self.tools)
        graph.add_edge(START, "model")
        graph.add_conditional_edges("model", self.next_node, {"tools": "tools", END: END})
        graph.add_edge("tools", "model")
        return graph

    def next_node(self, state: State) -> str:
        """Tools when the model called one."""
        return END if isinstance(state["messages"][-1]["content"], str) else "tools"


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """All sessions at once; steps per second, until all are done or the time is over."""
    agent = Agent(options.steps)
    kwargs = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(options.url, min_size=4, max_size=10, kwargs=kwargs) as pool:
        await AsyncPostgresSaver(pool).setup()
        durability = {} if options.durability == "default" else {"durability": options.durability}

        async def drive(number: int) -> None:
            graph = agent.graph().compile(checkpointer=AsyncPostgresSaver(pool))
            config = {
                "configurable": {"thread_id": f"{time.time_ns()}-{number}"},
                "recursion_limit": 10 * options.steps,
            }
            message = {"role": "user", "content": "go"}
            await graph.ainvoke({"messages": [message]}, config, **durability)

        await drive(-1)
        agent.done = 0
        began = time.perf_counter()
        tasks = [asyncio.ensure_future(drive(number)) for number in range(options.sessions)]
        finished, late = await asyncio.wait(tasks, timeout=options.seconds)
        spent = time.perf_counter() - began
        done = agent.done
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        for task in finished:
            task.result()
    return {"steps": done, "seconds": spent, "unfinished": len(late)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--durability", choices=("sync", "default"), default="sync")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(parser.parse_args()))))
