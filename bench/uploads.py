"""A 500 MB file, uploaded and downloaded: how fast beside a plain copy, and how much memory it takes."""

import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.processes import platform

from bench.report import keep, line, title

SIZE = 500 << 20
PIECE = os.urandom(1 << 20)


def peak(pid: int) -> int:
    """Bytes of memory a process has had at most."""
    for text in Path(f"/proc/{pid}/status").read_text().splitlines():
        if text.startswith("VmHWM:"):
            return int(text.split()[1]) << 10
    raise AssertionError("no VmHWM")


def copied(source: Path, target: Path) -> float:
    """Seconds of a plain copy that is forced to the disk."""
    began = time.monotonic()
    subprocess.run(["cp", source, target], check=True)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return time.monotonic() - began


def main() -> None:
    """Measure and print."""
    title("a 500 MB file (bar: at most 64 MB of memory)")
    with TemporaryDirectory() as folder, platform(uploads_downloadable="true") as place:
        source, back = Path(folder, "source"), Path(folder, "back")
        with source.open("wb") as out:
            for _ in range(SIZE >> 20):
                out.write(PIECE)
        plain = copied(source, back)
        place.serve()
        client = place.client()
        client.files.upload(file=("warm", b"x" * (4 << 20)))
        pid = place.server.pid
        Path(f"/proc/{pid}/clear_refs").write_text("5")
        before = peak(pid)
        began = time.monotonic()
        file = client.files.upload(file=source)
        up = time.monotonic() - began
        began = time.monotonic()
        with client.files.with_streaming_response.download(file.id) as answer:
            answer.stream_to_file(back)
        down = time.monotonic() - began
        grown = peak(pid) - before
        assert back.stat().st_size == file.size_bytes == SIZE
    line("upload", f"{up:6.2f} s   {up / plain:5.1f} times a copy with fsync ({plain:.2f} s)")
    line("download", f"{down:6.2f} s   {down / plain:5.1f} times")
    line("memory the server took", f"{grown / (1 << 20):6.1f} MiB")
    keep("uploads", upload=up / plain, download=down / plain, memory_bytes=grown)


if __name__ == "__main__":
    main()
