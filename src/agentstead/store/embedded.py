"""The embedded PostgreSQL: one server per data directory, reached by a unix socket only.

Promises: durable settings; the data readable and the socket connectable by its owner (and root)
alone, with a generated password on top; a server that outlived its starter is adopted by the next
start; what a crash left behind (pid file, socket, half an initdb) is cleared. As root it runs under
a system user of its own. The mode of an existing directory is never changed.
"""

import asyncio
import fcntl
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from agentstead.clock import Clock, SystemClock
from agentstead.errors import Misconfigured
from agentstead.store import binaries
from agentstead.store import data_dir as folders
from agentstead.store.postmaster import Postmaster, alive

ROLE = "agentstead"
PORT = 5432
"""Only a part of the socket's name; nothing listens on a network."""
SOCKET_PATH_BYTES_MAX = 107
START_SECONDS = 60.0
"""Crash recovery of a large log takes a while."""
STOP_SECONDS = 20.0
LOG_BYTES_MAX = 16 << 20

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "log_destination": "stderr",
    "logging_collector": "off",
    "timezone": "UTC",
    "max_wal_size": "2GB",
    "jit": "off",  # compiling costs more than any of our statements
}

STARTED: list[subprocess.Popen[bytes]] = []
"""Kept for the process's life: a server may outlive whoever started it."""


class EmbeddedPostgres:
    """PostgreSQL under `<data_dir>/postgres`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        clock: Clock | None = None,
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.data_dir = data_dir.expanduser().absolute()
        self.cluster = self.data_dir / "postgres"
        self.log_path = self.data_dir / "postgres.log"
        self.password_path = self.data_dir / "postgres.password"
        self.socket_note = self.data_dir / "postgres.socket"
        self.clock = clock or SystemClock()
        self.settings = {**SETTINGS, **settings}
        """Tests give up durability here; the product never does."""
        self.postmaster = Postmaster(self.cluster)

    async def start(self) -> str:
        """Start the server, or adopt the one that runs; its libpq URL."""
        folders.make(self.data_dir)
        owner = folders.database_owner()
        folders.check_reachable(self.data_dir, owner)
        with self.starting():
            await self.settled()
            if not self.postmaster.running():
                await asyncio.to_thread(self.prepare, owner)
                await self.launch(owner)
        return self.url()

    async def attach(self) -> str:
        """The URL of the server that runs on this data directory; Misconfigured when none does."""
        if not self.data_dir.is_dir():
            raise Misconfigured(f"There is no data directory {self.data_dir}.")
        if self.postmaster.status() == "starting":
            await self.settled()
        if not self.postmaster.running():
            raise Misconfigured(
                f"No database runs on {self.data_dir}. Start 'agentstead serve' on it first, "
                "or name an external database with --database-url."
            )
        return self.url()

    async def stop(self) -> None:
        """Stop the server whoever started it; sessions in it are cut."""
        for kind in (signal.SIGINT, signal.SIGQUIT):
            pid = self.postmaster.pid()
            if pid is None:
                break
            os.kill(pid, kind)
            if await self.ended(pid, STOP_SECONDS):
                break
        for process in STARTED:
            process.poll()
        if (folder := self.socket_folder()) and folder.parent != self.data_dir:
            shutil.rmtree(folder, ignore_errors=True)
            self.socket_note.unlink(missing_ok=True)

    def url(self) -> str:
        """How to connect."""
        folder = self.socket_folder()
        password = self.password_path.read_text().strip()
        return f"postgresql://{ROLE}:{password}@/postgres?host={folder}&port={PORT}"

    @contextmanager
    def starting(self) -> Iterator[None]:
        """One starter at a time."""
        handle = os.open(
            self.data_dir / "postgres.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise Misconfigured(
                f"Another process is starting the database of {self.data_dir}."
            ) from None
        finally:
            os.close(handle)

    async def settled(self) -> None:
        """Wait while a server is on its way up or down."""
        deadline = self.clock.monotonic() + START_SECONDS
        while (status := self.postmaster.status()) in ("starting", "stopping"):
            if self.clock.monotonic() > deadline:
                raise Misconfigured(f"The database is still {status}; see {self.log_path}.")
            await self.clock.sleep(0.02)

    async def ended(self, pid: int, seconds: float) -> bool:
        """Whether the server is gone within that time; it removes its pid file before it ends."""
        deadline = self.clock.monotonic() + seconds
        while alive(pid, self.cluster):
            for process in STARTED:
                process.poll()
            if self.clock.monotonic() > deadline:
                return False
            await self.clock.sleep(0.01)
        return True

    def prepare(self, owner: pwd.struct_passwd | None) -> None:
        """Programs, password, cluster and socket folder, whatever of them is missing."""
        if not self.password_path.exists():
            folders.write_private(self.password_path, secrets.token_urlsafe(32))
        if not (self.cluster / "PG_VERSION").exists():
            self.init_cluster(owner)
        self.postmaster.clear_stale()
        self.clear_stale_socket()
        self.place_socket(owner)

    def clear_stale_socket(self) -> None:
        """Collect a killed server of ours and remove its socket's lock, whose number looks alive."""
        for process in STARTED:
            process.poll()
        folder = self.socket_folder()
        if folder and self.postmaster.pid() is None:
            (folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)

    def programs(self, owner: pwd.struct_passwd | None) -> Path:
        """The folder of the programs the owner can run."""
        root = binaries.copied(self.data_dir) if owner else binaries.installed()
        return binaries.programs(root)

    def init_cluster(self, owner: pwd.struct_passwd | None) -> None:
        """initdb beside its place, then move there: whole or not at all."""
        draft = self.data_dir / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        folders.make_private(draft, owner)
        password = draft / "password"
        folders.write_private(password, self.password_path.read_text(), owner)
        inner = draft / "cluster"
        made = self.run(
            owner,
            [str(self.programs(owner) / "initdb"), "-D", str(inner), "-U", ROLE, "--auth=scram-sha-256",
             f"--pwfile={password}", "--encoding=UTF8", "--locale=C", "--no-instructions"],
        )  # fmt: skip
        if made.returncode:
            raise Misconfigured(
                f"The database cannot be set up in {self.data_dir}: {made.stderr.strip()}"
            )
        inner.rename(self.cluster)
        shutil.rmtree(draft)

    def run(
        self, owner: pwd.struct_passwd | None, command: list[str]
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as the owner, to its end."""
        who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, env=environment(), cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, umask=0o077, **who,
        )  # fmt: skip

    def socket_folder(self) -> Path | None:
        """Where the socket is; None before the first start."""
        try:
            return Path(self.socket_note.read_text().strip())
        except FileNotFoundError:
            return None

    def place_socket(self, owner: pwd.struct_passwd | None) -> None:
        """A 0700 folder whose path is short enough, and a note where it is."""
        uid = owner.pw_uid if owner else os.geteuid()
        folder = self.socket_folder()
        if folder and private(folder, uid):
            return
        folder = self.data_dir / "socket"
        if len(os.fsencode(folder / f".s.PGSQL.{PORT}")) > SOCKET_PATH_BYTES_MAX:
            base = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
            folder = Path(tempfile.mkdtemp(prefix="agentstead-", dir=base))
            if owner:
                os.chown(folder, owner.pw_uid, owner.pw_gid)
        folders.make_private(folder, owner)
        if not private(folder, uid):
            raise Misconfigured(
                f"{folder} must be a directory of uid {uid} with mode 0700; remove it and start again."
            )
        folders.write_private(self.socket_note, str(folder))

    async def launch(self, owner: pwd.struct_passwd | None) -> None:
        """Start the server in a session of its own and wait until it takes connections."""
        deadline = self.clock.monotonic() + START_SECONDS
        while True:
            process = self.spawn(owner)
            while process.poll() is None:
                if self.postmaster.running():
                    return
                if self.clock.monotonic() > deadline:
                    raise Misconfigured(f"The database does not start; see {self.log_path}.")
                await self.clock.sleep(0.005)
            # The last children of a killed server may hold its memory for a moment.
            if "still in use" not in self.log_tail() or self.clock.monotonic() > deadline:
                raise Misconfigured(f"The database does not start: {self.log_tail()}")
            await self.clock.sleep(0.1)

    def spawn(self, owner: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
        """The server's process; it outlives us."""
        options = {**self.settings, "unix_socket_directories": str(self.socket_folder())}
        command = [str(self.programs(owner) / "postgres"), "-D", str(self.cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        log = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        try:
            process: subprocess.Popen[bytes] = subprocess.Popen(  # type: ignore[call-overload]
                command, env=environment(), cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, umask=0o077, **who,
            )  # fmt: skip
        finally:
            os.close(log)
        STARTED.append(process)
        return process

    def log_tail(self) -> str:
        """The log's last lines, for error messages."""
        try:
            return " / ".join(self.log_path.read_text(errors="replace").splitlines()[-4:])
        except OSError:
            return "(no log)"


def environment() -> dict[str, str]:
    """What the server sees of ours: nothing."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def private(folder: Path, uid: int) -> bool:
    """Whether it is a real directory of this user that nobody else can enter."""
    try:
        state = folder.lstat()
    except OSError:
        return False
    return (
        folder.is_dir()
        and not folder.is_symlink()
        and state.st_uid == uid
        and not (state.st_mode & 0o077)
    )
