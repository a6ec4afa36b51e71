"""`agentstead chaos run`: a platform of its own under seeded faults, judged from outside."""

import json
from pathlib import Path
from typing import Annotated

import typer
from typer import Exit, Option

chaos = typer.Typer(
    help="Prove that nothing is lost and nothing happens twice.", no_args_is_help=True
)
SEEDS = 1_000_000
ENDED = 143
"""Exit code after SIGTERM."""


@chaos.callback()
def group() -> None:
    """Prove that nothing is lost and nothing happens twice."""


@chaos.command("run")
def run(
    seed: Annotated[
        int | None, Option(help="Repeats a run's choices; drawn when not given.")
    ] = None,
    minutes: Annotated[float, Option(help="How long faults are made.", min=0.01)] = 3.0,
    sessions: Annotated[int, Option(help="Sessions at work at once.", min=1, max=100)] = 12,
    workers: Annotated[int, Option(help="Worker processes.", min=1)] = 3,
    servers: Annotated[int, Option(help="API processes.", min=1)] = 2,
    kinds: Annotated[
        str | None, Option(help="Kinds of faults, with commas between; all when not given.")
    ] = None,
    folder: Annotated[
        Path | None, Option("--dir", help="An empty folder to work in; a temporary one else.")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="Print the report as JSON only.")] = False,
) -> None:
    """Start a platform of its own, harm it for some minutes, and report.

    Touches no other platform of this machine. Exit code 1 when anything was lost, done twice, untrue,
    invalid or stuck.
    """
    import asyncio
    import secrets

    from agentstead.chaos.faults import KINDS
    from agentstead.chaos.run import Plan
    from agentstead.chaos.run import run as run_plan
    from agentstead.cli.loop import run_until_done
    from agentstead.clock import SystemClock
    from agentstead.errors import Misconfigured

    chosen = tuple(kinds.split(",")) if kinds else tuple(KINDS)
    if unknown := [kind for kind in chosen if kind not in KINDS]:
        raise Misconfigured(
            f"--kinds: {unknown[0]!r} is no kind of fault.\nThere are: {', '.join(KINDS)}."
        )
    plan = Plan(
        seed=secrets.randbelow(SEEDS) if seed is None else seed,
        seconds=minutes * 60,
        sessions=sessions,
        workers=workers,
        servers=servers,
        kinds=chosen,
        folder=folder,
    )
    if not as_json:
        print(f"seed {plan.seed}: {minutes:g} min with {', '.join(chosen)}", flush=True)
    tell = (lambda _: None) if as_json else (lambda line: print(f"  {line}", flush=True))
    try:
        report = run_until_done(run_plan(plan, SystemClock(), tell))
    except asyncio.CancelledError:
        raise Exit(ENDED) from None
    print(json.dumps(report.as_json(), indent=1) if as_json else f"\n{report.text()}", flush=True)
    if not report.good:
        raise Exit(1)
