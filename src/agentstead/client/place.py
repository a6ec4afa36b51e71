"""Where a command works: on a named server, on the one that serves the data directory, or on its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agentstead.app.presence import KEY_FILE, read_presence
from agentstead.client.remote import Remote
from agentstead.errors import AgentsteadError, Misconfigured
from agentstead.settings import Settings

OWN_WORKERS = 1


@dataclass(frozen=True, slots=True)
class Place:
    """A server and a key for it."""

    url: str
    key: str


async def running_place(settings: Settings) -> Place | None:
    """The server that is named, or the one that serves the data directory; None: there is neither."""
    if settings.base_url is not None:
        return Place(settings.base_url, key_for(settings, settings.base_url))
    held = read_presence(settings.data_dir)
    if held is not None and await answers(held.url):
        return Place(held.url, key_for(settings, held.url))
    return None


async def found_place(settings: Settings) -> Place:
    """The same; Misconfigured where there is neither."""
    found = await running_place(settings)
    if found is None:
        raise Misconfigured(
            f"No server is named, and none serves {settings.data_dir}.\n"
            "Set AGENTSTEAD_BASE_URL, or start one with `agentstead serve`."
        )
    return found


@asynccontextmanager
async def platform(settings: Settings, note: Callable[[str], None]) -> AsyncIterator[Place]:
    """The platform to work on; one started for this is stopped at the end."""
    found = await running_place(settings)
    if found is not None:
        yield found
        return
    note("starting a platform for this job …")
    from agentstead.app.serve import serving
    from agentstead.telemetry import logs

    logs.configure(level="warning", as_json=settings.log_json)
    own = settings.model_copy(
        update={
            "host": "127.0.0.1",
            "port": 0,
            "workers": OWN_WORKERS,
            "tls_cert": None,
            "tls_key": None,
        }
    )
    async with serving(own) as served:
        yield Place(served.url, key_for(settings, served.url))


async def answers(url: str) -> bool:
    """Whether a server is there; a killed one may have left its name with another's process id."""
    async with Remote(url, None) as remote:
        try:
            return (await remote.get("/healthz")).get("status") == "ok"
        except AgentsteadError:
            return False


def key_for(settings: Settings, url: str) -> str:
    """The key to use: the one of the environment, else the one beside the data."""
    if settings.api_key is not None:
        return settings.api_key.get_secret_value()
    return read_key(settings.data_dir / KEY_FILE, url)


def read_key(path: Path, url: str) -> str:
    """The key in a file."""
    try:
        key = path.read_text().strip()
    except OSError as error:
        raise Misconfigured(
            f"There is no API key for {url}: {path} cannot be read ({error.strerror}).\n"
            "Set AGENTSTEAD_API_KEY; `agentstead key create` on the server's machine makes one."
        ) from None
    if not key:
        raise Misconfigured(f"{path} is empty.\nSet AGENTSTEAD_API_KEY, or make a new key.")
    return key
