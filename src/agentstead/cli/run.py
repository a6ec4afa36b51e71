"""`agentstead run "goal"`: one job from the terminal, with live progress and its result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Exit, Option

if TYPE_CHECKING:
    from agentstead.cli.job import Job
    from agentstead.settings import Settings


def run(
    goal: Annotated[str, Argument(help="What is to be done, in your own words.")],
    tool: Annotated[
        list[str] | None,
        Option(help="A tool the agent may use (bash, read, write …); repeatable; all by default."),
    ] = None,
    model: Annotated[str | None, Option(help="Model; the server's first real one.")] = None,
    data_dir: Annotated[Path | None, Option(help="Where the platform is kept.")] = None,
) -> None:
    """Do one job and show it happen.

    Works on the server of AGENTSTEAD_BASE_URL, else on the one that serves the data directory,
    else starts the platform for this job and stops it afterwards.
    Exit codes: 0 done, 2 waiting for an answer, 1 anything else. Ctrl-C interrupts the agent.
    """
    from agentstead import settings
    from agentstead.cli.loop import run_until_done

    chosen = settings.load(data_dir=data_dir, run_model=model)
    code = run_until_done(perform(chosen, goal, tuple(tool or ())))
    if code:
        raise Exit(code)


async def perform(settings: "Settings", goal: str, tools: tuple[str, ...]) -> int:
    """Find or start a platform, do the job there, print the answer."""
    import sys

    from rich.console import Console

    from agentstead.cli.job import Job
    from agentstead.cli.progress import Progress, plain
    from agentstead.client.place import platform
    from agentstead.client.remote import Remote
    from agentstead.clock import SystemClock

    # A person reads one stream; a script reads the answer from standard output alone.
    apart = not sys.stdout.isatty()
    progress = Progress(Console(stderr=apart, soft_wrap=True))
    async with platform(settings, progress.note) as place, Remote(place.url, place.key) as remote:
        job = Job(remote, progress, SystemClock(), goal, settings.run_model, tools)
        code = await interruptible(job)
        if apart and job.answer:
            print(plain(job.answer), flush=True)
        return code


async def interruptible(job: "Job") -> int:
    """Run the job; the first Ctrl-C asks the agent to stop, the second stops waiting for it."""
    import asyncio
    import signal

    from agentstead.cli.job import FAILED

    loop = asyncio.get_running_loop()
    doing = asyncio.ensure_future(job.run())
    asking: list[asyncio.Future[None]] = []

    def pressed() -> None:
        if job.interrupted:
            doing.cancel()
        else:
            asking.append(asyncio.ensure_future(job.interrupt()))

    loop.add_signal_handler(signal.SIGINT, pressed)
    loop.add_signal_handler(signal.SIGTERM, doing.cancel)
    try:
        return await doing
    except asyncio.CancelledError:
        return FAILED
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        loop.remove_signal_handler(signal.SIGTERM)
        await asyncio.gather(*asking, return_exceptions=True)
