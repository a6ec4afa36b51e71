"""Workers' providers get warm beside them, and nobody waits for that."""

import subprocess
import sys
from pathlib import Path

import pytest

# In a process of its own, where no other test has imported the SDK.
WARM = """
import asyncio, sys
from types import SimpleNamespace
from agentstead.app.workers import workers_at_work
from agentstead.providers.catalogue import Catalogue
from agentstead.settings import Settings

given = {} if sys.argv[1] == "none" else {"anthropic_api_key": sys.argv[1]}
catalogue = Catalogue(Settings(**given))

async def main() -> None:
    async with workers_at_work(SimpleNamespace(catalogue=catalogue), ()):
        await asyncio.sleep(0)
    print("anthropic" in sys.modules)
    from agentstead.app.workers import warm
    warming = asyncio.create_task(warm(SimpleNamespace(catalogue=catalogue), ("me",)))
    await asyncio.sleep(0)
    print(warming.done())
    await asyncio.wait_for(warming, 30)
    print("anthropic" in sys.modules)
    await catalogue.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("key", "said"), [("none", "False True False"), ("a-key", "False False True")]
)
def test_only_a_worker_with_a_key_imports_the_sdk(tmp_path: Path, key: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WARM, key], capture_output=True, text=True, cwd=tmp_path, timeout=25,
        env={"PATH": "/usr/bin:/bin"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == said.split()
