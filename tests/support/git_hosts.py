"""A host of Git repositories for a test: TLS, tokens, and `git http-backend` behind it."""

import base64
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.egress import certificate

NAME = "git.test"
OWNER = "acme"
AUTHOR = ("-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main")
ENV = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}


@dataclass
class GitHost:
    """The host, and what reached it."""

    root: Path
    authority: str
    """The certificate to trust, PEM."""
    port: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    """Repository → the token it needs."""
    forbidden: set[str] = field(default_factory=set)
    broken: int = 0
    """So many requests are answered with 503 from now on."""
    opened: threading.Event = field(default_factory=threading.Event)
    """Not set: packs are held back."""
    reached: threading.Event = field(default_factory=threading.Event)
    """Set when somebody asks for a pack."""
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def netloc(self) -> str:
        return f"{NAME}:{self.port}"

    def url(self, name: str) -> str:
        return f"https://{self.netloc}/{OWNER}/{name}"

    def make(self, name: str, files: dict[str, str], *, token: str = "") -> Path:
        """A repository with a commit on `main` and one more on `topic`."""
        work = self.root / "work" / name
        work.mkdir(parents=True)
        git(work, "init", "-q")
        for path, text in files.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            (work / path).write_text(text)
        git(work, "add", "-A")
        git(work, "commit", "-q", "--allow-empty", "-m", "first")
        git(work, "checkout", "-q", "-b", "topic")
        git(work, "commit", "-q", "--allow-empty", "-m", "second")
        git(work, "checkout", "-q", "main")
        self.publish(name)
        if token:
            self.tokens[name] = token
        return work

    def commit(self, name: str, message: str) -> None:
        """Commit what the work tree has now, and serve it."""
        git(self.root / "work" / name, "add", "-A")
        git(self.root / "work" / name, "commit", "-q", "-m", message)
        self.publish(name)

    def publish(self, name: str) -> None:
        """Serve the commits that the work tree has now."""
        bare = self.root / OWNER / name
        shutil.rmtree(bare, ignore_errors=True)
        bare.parent.mkdir(exist_ok=True)
        git(self.root, "clone", "-q", "--mirror", str(self.root / "work" / name), str(bare))


def git(folder: Path, *words: str) -> str:
    """What Git says."""
    done = subprocess.run(
        ["git", *AUTHOR, *words], cwd=folder, env=ENV, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@contextmanager
def git_host(folder: Path) -> Iterator[GitHost]:
    """A host on a free port of the loopback."""
    context, authority = certificate(folder, NAME)
    host = GitHost(folder / "repositories", authority.read_text())
    host.root.mkdir()
    host.opened.set()
    server = Quiet(("127.0.0.1", 0), handler(host))
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    host.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield host
    finally:
        host.opened.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(http.server.ThreadingHTTPServer):
    """Says nothing about clients that go away."""

    def handle_error(self, *_: Any) -> None:
        """It is what some tests do."""


def handler(host: GitHost) -> type[http.server.BaseHTTPRequestHandler]:
    """What answers for a host."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer()

        def do_POST(self) -> None:
            self.answer()

        def answer(self) -> None:
            host.requests.append((self.command, self.path, dict(self.headers)))
            name = self.path.split("?")[0].split("/")[2]
            if self.command == "POST":
                host.reached.set()
                host.opened.wait(20)
            if host.broken:
                host.broken -= 1
                self.refuse(503, "not now")
            elif name in host.forbidden:
                self.refuse(403, "not for you")
            elif (token := host.tokens.get(name)) and self.given() != f"x-access-token:{token}":
                self.refuse(401, "who are you?")
            else:
                self.serve()

        def given(self) -> str:
            kind, _, words = self.headers.get("Authorization", "").partition(" ")
            return base64.b64decode(words).decode() if kind == "Basic" else ""

        def refuse(self, status: int, text: str) -> None:
            self.send_response(status)
            if status == 401:
                self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.send_header("Content-Type", "text/plain")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def serve(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = self.chunks()
            env = {
                **ENV,
                "GIT_PROJECT_ROOT": str(host.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "REMOTE_USER": "somebody",  # may push
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"], env=env, input=body, capture_output=True, check=False
            )
            head, _, rest = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().splitlines() if line)
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for key, value in fields.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest)

        def chunks(self) -> bytes:
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def log_message(self, *_: Any) -> None:
            """Silent."""

    return Handler
