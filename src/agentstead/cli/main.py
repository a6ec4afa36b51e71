"""The command line's entrance: finds the command, and turns errors into two lines and a code.

Importing this costs as little as possible; every command imports what it needs when it runs.
Exit codes: 0 done, 1 it did not work, 2 wrong use (and, of `run`, an answer is awaited).
"""

import sys

import typer

from agentstead.cli.backup import backup, restore
from agentstead.cli.chaos import chaos
from agentstead.cli.doctor import doctor
from agentstead.cli.image import image
from agentstead.cli.key import key
from agentstead.cli.run import run
from agentstead.cli.seal import seal
from agentstead.cli.serve import serve
from agentstead.cli.stop import stop
from agentstead.cli.tidy import tidy
from agentstead.cli.version import version
from agentstead.cli.worker import worker
from agentstead.errors import AgentsteadError, Misconfigured

app = typer.Typer(
    name="agentstead",
    help="An open, self-hosted platform for production agents.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve)
app.command("worker")(worker)
app.command("run")(run)
app.add_typer(key, name="key")
app.add_typer(seal, name="seal")
app.command("backup")(backup)
app.command("restore")(restore)
app.add_typer(image, name="image")
app.command("stop")(stop)
app.command("tidy")(tidy)
app.command("doctor")(doctor)
app.add_typer(chaos, name="chaos")
app.command("version")(version)


def main() -> None:
    """Run one command and exit with its code."""
    try:
        if not __debug__:
            raise Misconfigured(
                "Python runs with -O, which drops the checks this platform relies on.\n"
                "Start it without -O and without PYTHONOPTIMIZE."
            )
        app()
    except AgentsteadError as error:
        complain(error)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read our output has gone, e.g. `agentstead doctor | head`.
        sys.stderr.close()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def complain(error: AgentsteadError) -> None:
    """One line what is wrong, the next lines what to do."""
    what, *remedy = error.message.splitlines() or [type(error).__name__]
    print(f"agentstead: {what}", file=sys.stderr)
    for line in remedy:
        print(f"  {line}", file=sys.stderr)
