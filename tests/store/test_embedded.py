"""The embedded server: durable, private, adopted, and back after any kill. Every server is real."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest

from agentstead.errors import Misconfigured
from agentstead.store import data_dir as folders
from agentstead.store.embedded import PORT, EmbeddedPostgres
from tests.store.conftest import NOBODY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

STARTER = """
import asyncio, os, signal, sys
from pathlib import Path
from agentstead.store.embedded import EmbeddedPostgres
postgres = EmbeddedPostgres(Path(sys.argv[1]))
asyncio.run(postgres.start())
print(postgres.postmaster.pid(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
async def postgres(place: Path) -> AsyncIterator[EmbeddedPostgres]:
    """Not started yet; stopped at the end, whoever started it."""
    made = EmbeddedPostgres(place / "data")
    yield made
    await made.stop()
    assert living(made) == []


def ask(url: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def pid_of(postgres: EmbeddedPostgres) -> int:
    pid = postgres.postmaster.pid()
    assert pid is not None
    return pid


def living(postgres: EmbeddedPostgres) -> list[str]:
    """Processes that work in the cluster's folder."""
    cluster = os.path.realpath(postgres.cluster)
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "cwd").startswith(cluster):
                found.append(entry.name)
        except OSError:
            continue
    return found


async def killed(postgres: EmbeddedPostgres) -> None:
    """SIGKILL the server, and wait until it is gone."""
    pid = pid_of(postgres)
    os.kill(pid, signal.SIGKILL)
    assert await postgres.ended(pid, 5)


def socket_file(postgres: EmbeddedPostgres) -> Path:
    folder = postgres.socket_folder()
    assert folder is not None
    return folder / f".s.PGSQL.{PORT}"


async def test_what_the_product_starts_is_durable_and_on_no_network(
    postgres: EmbeddedPostgres,
) -> None:
    url = await postgres.start()
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "password_encryption": "scram-sha-256",
    }
    rows = ask(url, "select name, setting from pg_settings")
    assert {name: value for name, value in rows if name in wanted} == wanted
    ways = ask(url, "select distinct type, auth_method from pg_hba_file_rules where type = 'local'")
    assert ways == [("local", "scram-sha-256")]


async def test_a_second_start_adopts_the_server_that_runs(postgres: EmbeddedPostgres) -> None:
    url = await postgres.start()
    pid = pid_of(postgres)
    other = EmbeddedPostgres(postgres.data_dir)
    assert (await other.start(), pid_of(other)) == (url, pid)
    assert await other.attach() == url


async def test_a_server_outlives_its_killed_starter_and_is_adopted(
    postgres: EmbeddedPostgres,
) -> None:
    starter = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", STARTER, str(postgres.data_dir)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert starter.returncode == -signal.SIGKILL, starter.stderr
    pid = int(starter.stdout)
    assert pid_of(postgres) == pid
    url = await postgres.start()
    assert pid_of(postgres) == pid
    assert ask(url, "select 1") == [(1,)]


async def test_a_killed_server_comes_back_with_what_was_committed(
    postgres: EmbeddedPostgres,
) -> None:
    url = await postgres.start()
    ask(url, "create table kept as select 42 as number")
    pid = pid_of(postgres)
    await killed(postgres)
    assert postgres.postmaster.path.exists()
    assert socket_file(postgres).exists()
    assert await postgres.start() == url
    assert pid_of(postgres) != pid
    assert ask(url, "select number from kept") == [(42,)]


async def test_a_pid_file_that_names_somebody_else_is_cleared(postgres: EmbeddedPostgres) -> None:
    url = await postgres.start()
    await killed(postgres)
    mine = str(os.getppid())
    for path in (
        postgres.postmaster.path,
        socket_file(postgres).with_name(f".s.PGSQL.{PORT}.lock"),
    ):
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([f"{mine}\n", *lines[1:]]))
    assert await postgres.start() == url
    assert pid_of(postgres) != os.getppid()
    assert ask(url, "select 1") == [(1,)]


async def test_half_a_setup_is_made_anew(postgres: EmbeddedPostgres) -> None:
    draft = folders.make(postgres.data_dir) / "postgres.new"
    (draft / "cluster").mkdir(parents=True)
    (draft / "cluster" / "PG_VERSION").write_text("18")
    url = await postgres.start()
    assert not draft.exists()
    assert ask(url, "select 1") == [(1,)]


async def test_only_owner_and_root_read_and_connect(
    postgres: EmbeddedPostgres, somebody: Callable[[int, int], AbstractContextManager[None]]
) -> None:
    url = await postgres.start()
    ask(url, "select 1")
    owner = folders.database_owner()
    assert owner is not None
    path_of_socket = socket_file(postgres)
    closed = [postgres.cluster, path_of_socket.parent]
    with somebody(owner.pw_uid, owner.pw_gid):
        assert all(os.listdir(path) for path in closed)
        connect(path_of_socket)
    with somebody(NOBODY, NOBODY):
        for path in closed:
            with pytest.raises(PermissionError):
                os.listdir(path)
        for path in (
            postgres.password_path,
            postgres.cluster / "PG_VERSION",
            postgres.log_path,
        ):
            with pytest.raises(PermissionError):
                path.read_bytes()
        with pytest.raises(PermissionError):
            connect(path_of_socket)


def connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


async def test_the_socket_asks_for_the_password(postgres: EmbeddedPostgres) -> None:
    url = await postgres.start()
    password = postgres.password_path.read_text().strip()
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(url.replace(password, "guessed"), "select 1")
    for path in (postgres.cluster, socket_file(postgres).parent):
        assert path.stat().st_mode & 0o777 == 0o700
    assert postgres.password_path.stat().st_mode & 0o777 == 0o600


async def test_directories_that_were_there_keep_their_mode(place: Path) -> None:
    top = place / "data"
    inner = top / "shared" / "given"
    inner.mkdir(parents=True)
    modes = {top: 0o755, top / "shared": 0o2775, inner: 0o1777}
    for folder, mode in modes.items():
        folder.chmod(mode)
    postgres = EmbeddedPostgres(inner)
    await postgres.start()
    await postgres.stop()
    assert {folder: folder.stat().st_mode & 0o7777 for folder in modes} == modes


async def test_a_long_path_gets_a_short_socket_which_stop_removes(place: Path) -> None:
    postgres = EmbeddedPostgres(place / "data" / ("long-" * 12) / ("longer-" * 12))
    url = await postgres.start()
    folder = socket_file(postgres).parent
    assert not folder.is_relative_to(postgres.data_dir)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert ask(url, "select 1") == [(1,)]
    await postgres.stop()
    assert not folder.exists()
    assert living(postgres) == []
    again = await postgres.start()
    assert ask(again, "select 1") == [(1,)]
    folder = socket_file(postgres).parent
    await postgres.stop()
    assert not folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a database of another user")
async def test_a_closed_ancestor_is_named(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(Misconfigured, match=rf"may not pass through {closed} \(mode 0700\)"):
        await EmbeddedPostgres(closed / "data").start()
    assert closed.stat().st_mode & 0o777 == 0o700


async def test_stop_leaves_nothing_running_and_can_be_repeated(postgres: EmbeddedPostgres) -> None:
    url = await postgres.start()
    busy = psycopg.connect(url)
    busy.execute("select 1")
    await postgres.stop()
    busy.close()
    assert living(postgres) == []
    assert not postgres.postmaster.path.exists()
    assert not socket_file(postgres).exists()
    await postgres.stop()
    assert await postgres.start() == url


async def test_attaching_needs_a_server(postgres: EmbeddedPostgres, place: Path) -> None:
    folders.make(postgres.data_dir)
    with pytest.raises(Misconfigured, match=r"(?s)No database runs on .*--database-url"):
        await postgres.attach()
    with pytest.raises(Misconfigured, match="There is no data directory"):
        await EmbeddedPostgres(place / "nowhere").attach()
    assert not (place / "nowhere").exists()


async def test_one_starter_at_a_time(postgres: EmbeddedPostgres) -> None:
    folders.make(postgres.data_dir)
    with (
        postgres.starting(),
        pytest.raises(Misconfigured, match="Another process is starting the database"),
    ):
        await EmbeddedPostgres(postgres.data_dir).start()
    await postgres.start()


async def test_a_server_that_does_not_start_says_why(place: Path) -> None:
    postgres = EmbeddedPostgres(place / "data", settings={"max_connections": "many"})
    with pytest.raises(Misconfigured, match=r"does not start: .*max_connections.*many"):
        await postgres.start()
    assert living(postgres) == []
