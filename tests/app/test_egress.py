"""Decisions of egress proxies in the log and in the metrics."""

import json
import logging
from pathlib import Path

import pytest
import structlog

from agentstead.app.egress import note_egress
from agentstead.app.hands import egress_of
from agentstead.errors import Misconfigured
from agentstead.sandbox.supervisor.spool import Spool
from agentstead.settings import Settings, load
from agentstead.telemetry import logs
from agentstead.telemetry.metrics import Metrics
from agentstead.testing.clock import ManualClock
from tests.support.egress import certificate


@pytest.fixture(autouse=True)
def restored() -> object:
    """Leave the log as it was: it writes to what a test captures."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield None
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


async def test_decisions_become_lines_and_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(as_json=True)
    spool = Spool(tmp_path, "sesn_1")
    asked = {"method": "CONNECT", "host": "a.example", "port": 443}
    spool.add(
        {
            **asked,
            "decision": "allowed",
            "reason": "",
            "address": "9.9.9.9",
            "credentials": "API_KEY",
        },
        "sevt_1",
    )
    for _ in range(3):
        spool.add({**asked, "decision": "denied", "reason": "host", "address": None}, "")
    spool.add({"sent": 7, "received": 9, "began": 0.0}, "")
    spool.write()
    metrics = Metrics()
    await note_egress(tmp_path, ManualClock(), metrics)
    await note_egress(tmp_path, ManualClock(), metrics)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(one["event"], one["level"], one["session_id"], one["call_id"]) for one in lines] == [
        ("request allowed", "info", "sesn_1", "sevt_1"),
        ("request denied", "warning", "sesn_1", None),
    ]
    assert (lines[0]["host"], lines[0]["port"], lines[0]["address"]) == (
        "a.example",
        443,
        "9.9.9.9",
    )
    assert [one.get("credentials") for one in lines] == ["API_KEY", None]
    assert (lines[1]["reason"], lines[1]["count"]) == ("host", 3)
    shown = metrics.render().decode()
    assert 'agentstead_egress_requests_total{decision="denied",reason="host"} 3.0' in shown
    assert 'agentstead_egress_bytes_total{direction="received"} 9.0' in shown


def test_what_an_operator_says_holds() -> None:
    settings = Settings(
        egress_ports=[443],
        egress_private_networks=["10.0.0.0/8:5432"],
        egress_names={"DB.internal.": "10.0.0.5"},
        egress_denied_hosts=["*.bad.example"],
        egress_package_hosts=["index.example"],
        egress_upstream_proxy="http://proxy.internal:3128",
        egress_connections_max=3,
        egress_idle_seconds=5,
        egress_bytes_per_hour_max=9,
    )
    egress = egress_of(settings)
    assert egress is not None
    assert egress.ports == (443,)
    assert egress.openings == ("10.0.0.0/8:5432",)
    assert egress.names == {"db.internal": "10.0.0.5"}
    assert egress.denied == ("*.bad.example",)
    assert egress.package_hosts == ("index.example",)
    assert egress.upstream == "http://proxy.internal:3128"
    assert (egress.bounds.connections_max, egress.bounds.idle_seconds) == (3, 5)
    assert egress.bytes_per_hour_max == 9
    assert "through the operator's proxy" in egress.words
    assert egress_of(Settings(sandbox_network="none")) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"egress_private_networks": ["10.0.0.1/8"]}, "AGENTSTEAD_EGRESS_PRIVATE_NETWORKS"),
        ({"egress_private_networks": ["localhost:80"]}, "AGENTSTEAD_EGRESS_PRIVATE_NETWORKS"),
        ({"egress_ports": [0]}, "AGENTSTEAD_EGRESS_PORTS"),
        ({"egress_names": {"a b": "1.1.1.1"}}, "AGENTSTEAD_EGRESS_NAMES"),
        ({"egress_names": {"a": "localhost"}}, "AGENTSTEAD_EGRESS_NAMES"),
        ({"sandbox_network": "open"}, "AGENTSTEAD_SANDBOX_NETWORK"),
        ({"egress_upstream_proxy": "socks5://a:1"}, "AGENTSTEAD_EGRESS_UPSTREAM_PROXY"),
    ],
)
def test_a_wrong_setting_is_named(given: dict[str, object], said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        egress_of(load(**given))


def test_authorities_are_looked_at_before_they_are_trusted(tmp_path: Path) -> None:
    file = tmp_path / "authorities.pem"
    _, authority = certificate(tmp_path, "shop.test")
    egress = egress_of(Settings(egress_ca_file=authority))
    assert egress is not None
    assert egress.authorities == authority.read_text()
    for text in (None, "", "nonsense", authority.read_text()[:200]):
        if text is not None:
            file.write_text(text)
        with pytest.raises(Misconfigured, match="holds no certificates"):
            egress_of(Settings(egress_ca_file=file))
