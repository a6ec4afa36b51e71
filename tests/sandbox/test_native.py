"""The runner in C: that what is shipped is what the sources say, and that nothing it reads can hurt it.

That it keeps the contract is shown where the contract is: those tests run with both runners.
"""

import json
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agentstead.sandbox.supervisor import quick
from agentstead.sandbox.supervisor.frames import LENGTH
from agentstead.sandbox.supervisor.native import build
from agentstead.sandbox.supervisor.runner.shell import clean, environment
from agentstead.sandbox.supervisor.variables import variables

SHIPPED = [build.FOLDER / f"runner.{machine}" for machine in build.MACHINES]
WATCHED = (
    "-DHOSTED",
    "-DHARNESS",
    "-g",
    "-O1",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
CASES = 1000
NONSENSE = 71
PIECES = [
    b"\x1b", b"[", b"]", b"\x1b[31m", b"\x1b]0;t\x07", b"\x1b\\", b"\x1bP", b"\r\n", b"\n", b"\r", b"\0", b"\"", b"\\",
    b"\xc3\xa9", b"\xe2\x82\xac", b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\xff", b"\xf4\x90\x80\x80", b"\xc0\xaf",
    b"\xe2\x82", b"\x1b(B", b"plain", b"\x7f", b"\x01", b"\x1b[1;2?x", b"\t",
]  # fmt: skip


def needs_gcc() -> None:
    if shutil.which("gcc") is None:
        pytest.skip("needs gcc")


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_the_recorded_hash_is_the_files(file: Path) -> None:
    assert quick.recorded(file) == file.read_bytes()


@pytest.mark.parametrize("spoilt", ["program", "hash", "no hash", "no program"])
def test_what_is_not_as_recorded_is_not_taken(spoilt: str, tmp_path: Path) -> None:
    file, digest = tmp_path / SHIPPED[0].name, tmp_path / f"{SHIPPED[0].name}.sha256"
    file.write_bytes(SHIPPED[0].read_bytes() + (b"x" if spoilt == "program" else b""))
    digest.write_text("" if spoilt == "hash" else SHIPPED[0].with_name(digest.name).read_text())
    for name, gone in (("no hash", digest), ("no program", file)):
        if spoilt == name:
            gone.unlink()
    assert quick.recorded(file) == b""


def test_the_shipped_program_is_what_its_sources_make(tmp_path: Path) -> None:
    needs_gcc()
    if build.platform.machine() not in build.MACHINES:
        pytest.skip("needs a machine that the runner in C is made for")
    made = tmp_path / "runner"
    build.compile_to(made, *build.ALONE)
    _, _, by = SHIPPED[0].with_name(f"{SHIPPED[0].name}.sha256").read_text().partition("# ")
    if by.strip() == build.compiler():
        assert made.read_bytes() == SHIPPED[0].read_bytes()
    # it needs nothing of its surroundings, and without a channel it says so
    assert subprocess.run([made], env={}, check=False).returncode == NONSENSE


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bytes], bytes]]:
    """What the runner makes of bytes, watched by the compiler's sanitizers."""
    needs_gcc()
    program = tmp_path_factory.mktemp("native") / "harness"
    source = Path(__file__).parent / "native_fuzz.c"
    build.compile_to(program, *WATCHED, f"-I{build.FOLDER}", source=source)
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        into, out, complaints = process.stdin, process.stdout, process.stderr
        assert into
        assert out
        assert complaints

        def asked(kind: str, given: bytes) -> bytes:
            into.write(kind.encode() + LENGTH.pack(len(given)) + given)
            into.flush()
            head = out.read(LENGTH.size)
            assert head, complaints.read().decode()
            return out.read(LENGTH.unpack(head)[0])

        yield asked
        into.close()
        assert process.wait() == 0, complaints.read().decode()


def test_what_is_printed_becomes_the_same_text(ask: Callable[[str, bytes], bytes]) -> None:
    chance = random.Random(5)
    for _ in range(CASES):
        printed = b"".join(chance.choices(PIECES, k=chance.randrange(12)))
        if chance.random() < 0.3:
            printed += chance.randbytes(chance.randrange(20))
        said = json.loads(b'"' + ask("p", printed) + b'"')
        assert said == clean(printed).rstrip("\n"), printed


@pytest.mark.parametrize(
    "command",
    [
        "",
        "echo 'it'",
        "é€😀",
        "\ud800 half \udc00",
        "\ud83d\ude00",
        '"\\/\b\f\n\r\t\x01',
        "x" * 9000,
        "\x7f",
    ],
)
def test_a_command_is_read_as_it_is_meant(ask: Callable[[str, bytes], bytes], command: str) -> None:
    for plain in (True, False):
        call = {
            "op": "run",
            "other": [{"command": "}"}],
            "input": {"a": '\\"{', "command": command},
        }
        try:
            message = json.dumps(call, ensure_ascii=plain).encode()
        except UnicodeEncodeError:
            continue
        meant = json.loads(message)["input"]["command"].encode("utf-8", "replace")
        assert ask("c", message) == meant


@pytest.mark.parametrize(
    ("seconds", "thousandths"),
    [
        ("1.5", 1500),
        ("20.0", 20000),
        ("0.0015", 1),
        ("3600", 3600000),
        ("-1", 0),
        ('"x"', 0),
        ("9" * 40, None),
    ],
)
def test_numbers(ask: Callable[[str, bytes], bytes], seconds: str, thousandths: int | None) -> None:
    said = int(ask("n", f'{{"seconds": {seconds}}}'.encode()))
    assert said == thousandths if thousandths is not None else said > 10**12


@pytest.mark.parametrize("value", [True, 1, "x", [0], False, None, 0, "", [], {}, 0.0])
def test_what_counts_as_yes(ask: Callable[[str, bytes], bytes], value: object) -> None:
    assert ask("h", json.dumps({"restart": value}).encode()) == str(int(bool(value))).encode()


def test_variables_are_the_same(ask: Callable[[str, bytes], bytes]) -> None:
    first = variables({"HOME": "/elsewhere", "OWN": 'é "x"\\'})
    first["first_there"].append([["/nonexistent/x", {"WRONG": "1"}], ["/", {"RIGHT": "2"}]])
    said = ask("v", json.dumps(first).encode()).decode().split("\0")[:-1]
    assert dict(one.split("=", 1) for one in said) == environment(first)
    assert len(said) == len(environment(first))


def test_no_message_hurts_it(ask: Callable[[str, bytes], bytes]) -> None:
    chance = random.Random(6)
    whole = json.dumps(
        {
            "input": {"command": "a\\ud83d\\ude00b", "restart": [1, {"x": "}"}]},
            "seconds": 1.25,
            **variables({"A": "b"}),
        }
    ).encode()
    for _ in range(CASES):
        message = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(6)):
            if message:
                message[chance.randrange(len(message))] = chance.choice(b'{}[]",:\\u0\0 d8')
        ask(chance.choice("cnvh"), bytes(message))
