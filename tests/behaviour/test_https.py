"""The HTTP API and the metrics over TLS, and every command against them, with an authority of one's own."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from broker.cli import main
from tests.support.certificates import Authority
from tests.support.polling import eventually
from tests.support.server import HOST, HubbubServer, free_port

pytestmark = pytest.mark.hubbub_only


class Secured:
    """A broker that is spoken to over TLS only."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "authority")
        certificate, key = map(str, self.authority.issue("server"))
        self.ports = {
            f"{name}.tls_port": free_port() for name in ("amqp", "mqtt", "websocket", "management", "metrics")
        }
        plain = {f"{name}.port": "null" for name in ("mqtt", "websocket", "management", "metrics")}
        files = {"tls.certificate": certificate, "tls.key": key}
        self.server = HubbubServer(directory, {**self.ports, **plain, **files, "mqtt.address": HOST})

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.ports['management.tls_port']}"

    def run(self, *words: str, status: int = 0, ca: bool = True) -> str:
        trust = ("--ca", str(self.authority.certificate)) if ca else ()
        done = CliRunner().invoke(main, [*words, "--url", self.url, *trust])
        assert done.exit_code == status, done.output
        return done.output


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    made = Secured(tmp_path_factory.mktemp("secured"))
    made.server.start()
    try:
        eventually(lambda: "is ready" in made.server.log)
        yield made
        assert made.server.stop() == 0
        made.server.assert_clean()
    finally:
        made.server.kill()


def test_metrics_and_health_are_served_over_tls(secured: Secured) -> None:
    address = f"https://{HOST}:{secured.ports['metrics.tls_port']}"
    context = secured.authority.client_context()
    with urllib.request.urlopen(f"{address}/metrics", context=context, timeout=10) as answer:
        assert b"hubbub_messages_unaccounted" in answer.read()
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(f"{address}/metrics", context=ssl.create_default_context(), timeout=10)


def test_commands_trust_the_authority_that_they_are_told(secured: Secured) -> None:
    assert secured.run("ping") == "it runs\n"
    assert "CERTIFICATE_VERIFY_FAILED" in secured.run("ping", status=1, ca=False)
    listening = {row["protocol"]: row["port"] for row in json.loads(secured.run("listeners", "--json"))}
    assert {"amqp/ssl", "mqtt/ssl", "https", "https/prometheus", "https/web-mqtt"} <= set(listening)
    for protocol in ("amqp/ssl", "https", "https/prometheus", "https/web-mqtt"):
        assert secured.run("check", "protocol", protocol) == "ok\n"


@pytest.mark.parametrize("protocol", ["ws", "amqp"])
def test_clients_of_queues_speak_tls(secured: Secured, protocol: str) -> None:
    secured.run("declare", "queue", protocol)
    secured.run("publish", "amq.default", protocol, "hello", "--protocol", protocol)

    assert secured.run("consume", protocol, "--count", "1", "--protocol", protocol) == f"{protocol}: hello\n"


@pytest.mark.parametrize("protocol", ["ws", "mqtt"])
def test_clients_of_topics_speak_tls(secured: Secured, protocol: str) -> None:
    secured.run("publish-topic", f"t/{protocol}", "hello", "--retain", "--protocol", protocol)

    assert secured.run("subscribe", f"t/{protocol}", "--count", "1", "--protocol", protocol) == f"t/{protocol}: hello\n"


def test_a_profile_stands_for_what_would_be_typed(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "client.yaml"
    file.write_text(
        f"default: {{url: '{secured.url}', ca: {secured.authority.certificate}}}\n"
        "elsewhere: {url: 'http://127.0.0.1:1', user: ann}\n"
    )
    monkeypatch.setenv("HUBBUB_CLIENT_CONFIG", str(file))
    invoke = CliRunner().invoke

    assert invoke(main, ["whoami"]).output == "guest: administrator\n"
    assert "no broker answers on http://127.0.0.1:1" in invoke(main, ["whoami", "--profile", "elsewhere"]).output
    wrong = invoke(main, ["whoami", "--profile", "nowhere"])
    assert (wrong.exit_code, wrong.output) == (
        1,
        f"hubbub: {file}: there is no profile nowhere; expected one of default, elsewhere\n",
    )
    file.write_text("default: {urll: x}\n")
    assert "unknown field `urll`" in invoke(main, ["whoami"]).output


def test_files_that_are_no_certificates_are_named(secured: Secured, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing")
    done = CliRunner().invoke(main, ["ping", "--url", secured.url, "--ca", str(file)])

    assert done.exit_code == 1
    assert done.output.startswith(f"hubbub: TLS: {file} cannot be used")
