"""`agentstead doctor`: what works on this machine, what does not, and what to do about it."""

from pathlib import Path
from typing import Annotated

from typer import Exit, Option


def doctor(
    data_dir: Annotated[Path | None, Option(help="Data directory to look at.")] = None,
    database_url: Annotated[str | None, Option(help="PostgreSQL to look at instead.")] = None,
) -> None:
    """Look whether this machine can do the work, and say what to do where it cannot.

    Starts one sandbox for real. Exit code 1 when something that is needed does not work.
    """
    from agentstead import settings
    from agentstead.cli.examination import Grade, examine
    from agentstead.cli.loop import run_until_done
    from agentstead.telemetry import logs

    chosen = settings.load(data_dir=data_dir, database_url=database_url)
    logs.configure(level="error", as_json=chosen.log_json)
    findings = run_until_done(examine(chosen))
    for finding in findings:
        print(f"{finding.grade.value:<7} {finding.about}: {finding.what}")
        for line in finding.remedies:
            print(f"          {line}")
    if any(finding.grade is Grade.FAILED for finding in findings):
        raise Exit(1)
