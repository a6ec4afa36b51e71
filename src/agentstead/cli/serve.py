"""`agentstead serve`: API and workers in one process, until it is told to stop."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from agentstead.app.serve import Served


def serve(
    host: Annotated[str | None, Option(help="Address to listen on (127.0.0.1).")] = None,
    port: Annotated[int | None, Option(help="Port to listen on (8080); 0: a free one.")] = None,
    data_dir: Annotated[Path | None, Option(help="Where everything is kept.")] = None,
    database_url: Annotated[
        str | None, Option(help="PostgreSQL to use instead of the embedded one.")
    ] = None,
    nats: Annotated[
        str | None, Option(help="NATS server (nats://…) that carries notices between processes.")
    ] = None,
    workers: Annotated[int | None, Option(help="Workers in this process (1); 0: API only.")] = None,
    tls_cert: Annotated[Path | None, Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, Option(help="Its private key (PEM).")] = None,
    behind_proxy: Annotated[
        bool, Option("--behind-proxy", help="TLS ends at a proxy in front of this server.")
    ] = False,
) -> None:
    """Start the platform: API and workers."""
    from agentstead.cli.imports import quick_imports

    with quick_imports():
        from agentstead import settings
        from agentstead.cli.loop import run_until_done
        from agentstead.telemetry import logs

        chosen = settings.load(
            host=host,
            port=port,
            data_dir=data_dir,
            database_url=database_url,
            nats_url=nats,
            workers=workers,
            tls_cert=tls_cert,
            tls_key=tls_key,
            behind_proxy=behind_proxy or None,
        )
        logs.configure(level=chosen.log_level, as_json=chosen.log_json)

        # The platform's imports take a moment; a wrong setting is told before.
        from agentstead.app.serve import serve as serve_platform

    run_until_done(serve_platform(chosen, announce))


def announce(served: "Served") -> None:
    """Say where the platform is and, the first time, with which key."""
    print(f"Agentstead is ready at {served.url}", flush=True)
    if served.new_key is not None:
        print(f"API key (shown this once; kept in {served.key_file}): {served.new_key}", flush=True)
