"""DBOS: the peer's side of `bench.peers`, in the peers' venv.

A session is a workflow, and a step of ours two of its steps: the model (scripted: so many tool
calls, then a text) and the tool (one that does nothing). DBOS writes each step's outcome before the
next begins; that is its only durability, so it is its default too.
"""

import argparse
import asyncio
import json
import os
import time
from typing import Any

import uvloop
from dbos import DBOS

counted = {"steps": 0}


@DBOS.step()
async def model(said: int, steps: int) -> dict[str, Any]:
    """The scripted model."""
    if said >= steps:
        return {"role": "assistant", "content": "done"}
    use = {"type": "tool_use", "id": f"toolu_{said}", "name": "bash", "input": {"command": "true"}}
    return {"role": "assistant", "content": [use]}


@DBOS.step()
async def tool(use: dict[str, Any]) -> dict[str, Any]:
    """The tool that does nothing."""
    result = {"type": "tool_result", "tool_use_id": use["id"], "content": "did nothing"}
    return {"role": "user", "content": [result]}


@DBOS.workflow()
async def session(steps: int) -> str:
    """Model, tool, model, … until the model only talks."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    while True:
        answer = await model(len(messages) // 2, steps)
        messages.append(answer)
        if isinstance(answer["content"], str):
            return answer["content"]
        messages.append(await tool(answer["content"][0]))
        counted["steps"] += 1


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """All sessions at once; steps per second, until all are done or the time is over."""
    DBOS.launch()

    async def drive() -> None:
        handle = await DBOS.start_workflow_async(session, options.steps)
        await handle.get_result()

    await drive()
    counted["steps"] = 0
    began = time.perf_counter()
    tasks = [asyncio.ensure_future(drive()) for _ in range(options.sessions)]
    finished, late = await asyncio.wait(tasks, timeout=options.seconds)
    spent = time.perf_counter() - began
    for task in finished:
        task.result()
    return {"steps": counted["steps"], "seconds": spent, "unfinished": len(late)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    chosen = parser.parse_args()
    DBOS(
        config={
            "name": "bench",
            "system_database_url": chosen.url,
            "sys_db_pool_size": 20,
            "log_level": "ERROR",
            "max_executor_threads": 64,
        }
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(chosen))), flush=True)
    os._exit(0)  # workflows that were not done in time would be waited for
