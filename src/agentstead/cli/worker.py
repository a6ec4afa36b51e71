"""`agentstead worker`: one more worker beside a server, until it is told to stop."""

from pathlib import Path
from typing import Annotated

from typer import Option


def worker(
    data_dir: Annotated[Path | None, Option(help="Data directory of the server to help.")] = None,
    database_url: Annotated[
        str | None, Option(help="PostgreSQL of the server to help, when it is not embedded.")
    ] = None,
    nats: Annotated[
        str | None, Option(help="NATS server of the server to help, when it has one.")
    ] = None,
    metrics_port: Annotated[
        int | None, Option(help="Show this worker's /metrics on this loopback port.")
    ] = None,
) -> None:
    """Start one more worker."""
    from agentstead.cli.imports import quick_imports

    with quick_imports():
        from agentstead import settings
        from agentstead.app.work import work
        from agentstead.cli.loop import run_until_done
        from agentstead.telemetry import logs

    chosen = settings.load(
        data_dir=data_dir, database_url=database_url, nats_url=nats, metrics_port=metrics_port
    )
    logs.configure(level=chosen.log_level, as_json=chosen.log_json)
    run_until_done(work(chosen, lambda owner: print(f"Worker {owner} is ready", flush=True)))
