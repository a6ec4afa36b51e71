"""The official worker as a process of its own: `python -m tests.support.official_worker [run|handle]`.

Everything else comes from the environment, as on a real host.
"""

import asyncio
import os
import sys
from typing import Any

import anthropic
from anthropic import beta_async_tool
from anthropic.lib.environments import EnvironmentWorker
from anthropic.lib.tools.agent_toolset import beta_agent_toolset_20260401


@beta_async_tool
async def own_lookup(q: str) -> str:
    """Look something up, on the worker."""
    return f"found {q}"


def tools(context: Any) -> list[Any]:
    """The whole toolset and a tool of the worker's own."""
    return [*beta_agent_toolset_20260401(context), own_lookup]


async def main(mode: str) -> None:
    """Serve for ever, or the one item that the environment names."""
    async with anthropic.AsyncAnthropic(api_key="none") as client:
        worker = EnvironmentWorker(
            client,
            environment_id=os.environ.get("ANTHROPIC_ENVIRONMENT_ID"),
            environment_key=os.environ.get("ANTHROPIC_ENVIRONMENT_KEY"),
            workdir=os.environ["WORKDIR"],
            worker_id=os.environ.get("WORKER_ID"),
            max_idle=float(os.environ.get("MAX_IDLE", "0.3")),
            tools=tools,
        )
        if mode == "handle":
            await worker.handle_item()
        else:
            await worker.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
