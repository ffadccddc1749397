"""When the certificates of the listeners expire: the health check and the metric."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from broker.management.metrics import exposition
from tests.unit.management.conftest import Api, ObservedCore

CHECK = "/api/health/checks/certificate-expiration"


@pytest.fixture
def secured(server: ObservedCore) -> ObservedCore:
    """A TLS listener whose certificate lasts for 40 days, and one that lasts for ten years."""
    ends = {"short.pem": time.time() + 40 * 86_400, "long.pem": time.time() + 3650 * 86_400}
    loaded = [SimpleNamespace(files=SimpleNamespace(certificate=name), expires_at=at) for name, at in ends.items()]
    server.certificates = SimpleNamespace(loaded=loaded, reloads={"done": 2, "refused": 1})
    server.listeners.append(SimpleNamespace(name="amqps", address="127.0.0.1", port=5671, tls=object()))
    return server


async def test_a_certificate_that_expires_in_time_fails_the_check(api: Api, secured: ObservedCore) -> None:
    for enough in ("39/days", "5/weeks", "1/months", "0/years"):
        assert await api.get(f"{CHECK}/{enough}") == {"status": "ok"}
    for late in ("41/days", "6/weeks", "2/months", "1/years"):
        failed = await api.get(f"{CHECK}/{late}", status=503)
        assert (failed["status"], failed["reason"]) == ("failed", "Certificates expiring")
        assert [(each["protocol"], each["port"], each["certfile"]) for each in failed["expired"]] == [
            ("amqps", "5671", "short.pem")
        ]


async def test_without_tls_nothing_expires(api: Api) -> None:
    assert await api.get(f"{CHECK}/999999/years") == {"status": "ok"}


@pytest.mark.parametrize("asked", ["1/parsecs", "x/days", "-1/days", "²/days", "1234567/days"])
async def test_what_is_no_time_is_a_bad_request(api: Api, secured: ObservedCore, asked: str) -> None:
    assert (await api.get(f"{CHECK}/{asked}", status=400))["error"] == "bad_request"


def test_the_metric_says_when(secured: ObservedCore) -> None:
    text = exposition(secured).decode()

    assert 'hubbub_tls_certificate_expires_seconds{certificate="short.pem"} ' in text
    assert 'hubbub_tls_reloads_total{outcome="refused"} 1.0' in text
