"""What is refused at start says what is wrong and what to do, and changes nothing."""

import os
import socket
from pathlib import Path

import pytest

from agentstead.app import checks
from agentstead.errors import Misconfigured
from agentstead.settings import Settings


def settings(**given: object) -> Settings:
    return Settings(**given)  # type: ignore[arg-type]


def refusal(call: object, *args: object) -> tuple[str, str]:
    """What is wrong, and what to do."""
    with pytest.raises(Misconfigured) as caught:
        call(*args)  # type: ignore[operator]
    what, _, remedy = caught.value.message.partition("\n")
    assert remedy
    return what, remedy


def test_loopback_needs_no_tls() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.1.2.3"):
        checks.check_door(settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "agents.example.com"])
def test_another_host_needs_tls_or_a_proxy(host: str) -> None:
    what, remedy = refusal(checks.check_door, settings(host=host))
    assert host in what
    assert "--behind-proxy" in remedy
    checks.check_door(settings(host=host, behind_proxy=True))


def test_tls_needs_both_files_and_they_must_be_readable(tmp_path: Path) -> None:
    certificate = tmp_path / "cert.pem"
    certificate.write_text("x")
    assert "only one" in refusal(checks.check_door, settings(tls_cert=certificate))[0]
    missing = settings(tls_cert=certificate, tls_key=tmp_path / "none.pem")
    assert "none.pem cannot be read" in refusal(checks.check_door, missing)[0]
    checks.check_door(settings(host="0.0.0.0", tls_cert=certificate, tls_key=certificate))


@pytest.mark.parametrize(
    ("url", "host", "port", "same"),
    [
        ("http://127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("http://localhost:8080/v1", "127.0.0.1", 8080, True),
        ("http://[::1]:8080", "0.0.0.0", 8080, True),
        ("http://agents.example.com:8080", "agents.example.com", 8080, True),
        ("https://agents.example.com", "agents.example.com", 443, True),
        ("http://127.0.0.1:8081", "127.0.0.1", 8080, False),
        ("http://127.0.0.1:8080", "192.0.2.7", 8080, False),
        ("https://api.anthropic.com", "127.0.0.1", 8080, False),
        ("http://127.0.0.1:no", "127.0.0.1", 8080, False),
        ("nonsense", "127.0.0.1", 8080, False),
    ],
)
def test_which_upstreams_are_this_server(url: str, host: str, port: int, same: bool) -> None:
    assert checks.points_at(url, host, port) is same


@pytest.mark.parametrize("name", ["anthropic_base_url", "openai_base_url"])
def test_an_upstream_that_is_this_server_is_refused(name: str) -> None:
    given = settings(**{name: "http://localhost:8080"})
    what, _ = refusal(checks.check_upstreams, given, 8080)
    assert name.upper() in what
    checks.check_upstreams(given, 9090)


def test_a_port_in_use_is_named_with_another_to_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        what, remedy = refusal(checks.listen, settings(port=port))
    assert f"port {port} is in use" in what
    assert str(port + 1) in remedy


def test_port_0_gives_a_free_port_that_takes_connections() -> None:
    with checks.listen(settings(port=0)) as listener:
        socket.create_connection(listener.getsockname(), timeout=2).close()


def test_an_address_of_another_machine_is_refused() -> None:
    assert "cannot be listened on" in refusal(checks.listen, settings(host="192.0.2.7", port=0))[0]


def test_a_number_that_is_no_port_is_refused() -> None:
    assert "70000 is no port" in refusal(checks.listen, settings(port=70000))[0]


def test_a_new_data_directory_is_made(tmp_path: Path) -> None:
    checks.prepare_data_dir(tmp_path / "new" / "place")
    assert (tmp_path / "new" / "place").is_dir()
    assert not list((tmp_path / "new" / "place").iterdir())


def test_a_data_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Misconfigured, match="--data-dir"):
        checks.prepare_data_dir(tmp_path / "file" / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="needs a plain user: root may write everywhere")
def test_a_data_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert "Permission denied" in refusal(checks.prepare_data_dir, tmp_path)[0]
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "FREE_BYTES_MIN", 1 << 60)
    what, remedy = refusal(checks.prepare_data_dir, tmp_path)
    assert "full" in what
    assert "Make room" in remedy


def test_a_device_without_room_is_named() -> None:
    assert "Make room" in checks.remedy_for(OSError(28, "No space left on device"))


def test_an_image_that_is_not_there_is_refused(tmp_path: Path) -> None:
    checks.check_image(Settings(data_dir=tmp_path, sandbox_image="host"))
    what, remedy = refusal(checks.check_image, Settings(data_dir=tmp_path, sandbox_image="gone"))
    assert 'There is no image "gone" on this server; there are "host".' in what
    assert remedy == "Import it, or choose another one."
