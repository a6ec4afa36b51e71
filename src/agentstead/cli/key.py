"""`agentstead key create|list|revoke`: the API keys of a platform."""

from typer import Typer

key = Typer(help="Make, list and revoke API keys.", no_args_is_help=True, rich_markup_mode=None)
