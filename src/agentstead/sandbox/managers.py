"""Where the package managers of this host get their packages: each is asked, none is presumed.

A manager that sandboxes do not have (they see the host's `/usr`) is left out. One that does not answer
in time names no host; the operator can list hosts instead.
"""

import asyncio
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from agentstead.addresses import host_of

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ASK_SECONDS = 10.0
OUTPUT_BYTES_MAX = 256 << 10
URL = re.compile(r"https?://(?:[^/@\s\"']*@)?([A-Za-z0-9._-]+)")
APT = Path("/etc/apt")
PIP = """
from pip._internal.configuration import Configuration
from pip._internal.models.index import PyPI
print(PyPI.url, "https://" + PyPI.file_storage_domain)
configuration = Configuration(isolated=False)
configuration.load()
print(*(value for name, value in configuration.items() if name.endswith("index-url")), sep="\\n")
"""
QUESTIONS: Sequence[Sequence[str]] = (
    ("python3", "-c", PIP),
    ("npm", "config", "get", "registry"),
    ("gem", "sources", "--list"),
    ("go", "env", "GOPROXY"),
)
"""A program that sandboxes may have, and how it says where it looks. Rust's is the operator's to list."""


class PackageHosts:
    """The hosts, asked for once in the life of this process, when somebody first needs them."""

    def __init__(self) -> None:
        self._asked: asyncio.Task[tuple[str, ...]] | None = None

    async def hosts(self) -> tuple[str, ...]:
        """Every host that a package manager here is configured with."""
        if self._asked is None or self._asked.cancelled():
            self._asked = asyncio.create_task(configured())
        return await asyncio.shield(self._asked)


async def configured() -> tuple[str, ...]:
    """Ask every manager at once."""
    said = await asyncio.gather(*(_answer(question) for question in QUESTIONS))
    return hosts_in([*said, await asyncio.to_thread(_apt)])


def hosts_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The hosts of the URLs in some texts, each once."""
    found: dict[str, None] = {}
    for text in texts:
        for name in URL.findall(text):
            try:
                found[host_of(name)] = None
            except ValueError:
                continue
    return tuple(found)


async def _answer(question: Sequence[str]) -> str:
    try:
        return await ask(question, ASK_SECONDS)
    except (FileNotFoundError, TimeoutError):
        return ""


async def ask(words: Sequence[str], seconds: float, env: Mapping[str, str] | None = None) -> str:
    """What a program of this host says; `env` None: it gets ours. FileNotFoundError, TimeoutError."""
    program = shutil.which(words[0], path=SYSTEM_PATH)
    if program is None:
        raise FileNotFoundError(words[0])
    process = await asyncio.create_subprocess_exec(
        program,
        *words[1:],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd="/",
        env=env,
    )
    try:
        async with asyncio.timeout(seconds):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return output[:OUTPUT_BYTES_MAX].decode("utf-8", "replace")


def _apt() -> str:
    texts = []
    for file in (APT / "sources.list", *sorted((APT / "sources.list.d").glob("*"))):
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        texts += [line for line in lines if not line.lstrip().startswith("#")]
    return "\n".join(texts)
