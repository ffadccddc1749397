"""The HTTP request that becomes a WebSocket (RFC 6455 §4.2), and those that do not."""

from __future__ import annotations

import pytest

from tests.support.websocket_frames import ACCEPT, BINARY, frame, request
from tests.unit.websocket.conftest import Harness


def test_an_upgrade_is_accepted_with_the_key_s_digest_rfc_6455_1_3() -> None:
    harness = Harness()
    response = harness.upgrade()

    assert response.split("\r\n")[:4] == [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {ACCEPT}",
    ]
    assert response.endswith("\r\n\r\n")
    assert "Sec-WebSocket-Protocol" not in response
    assert harness.connection.carried is harness.dialect


def test_a_request_may_come_octet_by_octet_and_frames_right_behind_it() -> None:
    harness = Harness()
    for octet in request():
        assert harness.said() == b""
        harness.feed(bytes([octet]))
    assert harness.said().startswith(b"HTTP/1.1 101 ")

    eager = Harness()
    eager.feed(request() + frame(BINARY, b"first") + frame(BINARY, b"second"))
    assert eager.dialect.feeds == [b"firstsecond"]


@pytest.mark.parametrize(
    ("path", "offered", "agreed"),
    [
        ("/stream", "stream", "stream"),
        ("/stream", "stream.old", "stream.old"),
        ("/stream", "unknown, stream.old, stream", "stream.old"),
        ("/named", "named", "named"),
        ("/messages", "in.octets", "in.octets"),
    ],
)
def test_the_first_subprotocol_that_is_known_is_agreed_on(path: str, offered: str, agreed: str) -> None:
    harness = Harness()
    response = harness.upgrade(path, Sec_WebSocket_Protocol=offered)

    assert f"\r\nSec-WebSocket-Protocol: {agreed}\r\n" in response
    assert harness.dialect.subprotocol == harness.connection.subprotocol == agreed


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/elsewhere"), 404),
        (request("/named"), 400),
        (request("/named", Sec_WebSocket_Protocol="other"), 400),
        (request("/stream", Sec_WebSocket_Protocol="other"), 400),
        (request(without="Host"), 400),
        (request(without="Upgrade"), 426),
        (request(without="Connection"), 426),
        (request(Upgrade="h2c"), 426),
        (request(Sec_WebSocket_Version="8"), 426),
        (request(without="Sec-WebSocket-Version"), 426),
        (request(without="Sec-WebSocket-Key"), 400),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400),
        (request(Sec_WebSocket_Key="&&&&"), 400),
        (request(Sec_WebSocket_Key="ÿ"), 400),
        (request().replace(b"HTTP/1.1", b"HTTP/1.0", 1), 505),
        (request().replace(b"GET /stream ", b"GET /str eam ", 1), 400),
        (request().replace(b"Upgrade:", b"Upgrade :", 1), 400),
        (request().replace(b"Host:", b" Host:", 1), 400),
        (b"POST /stream HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"AMQP\x00\x00\x09\x01", 400),
        (b"\x10\x0c\x00\x04MQTT\x04\x02", 400),
        (b"GET /" + b"a" * 9000, 431),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_request_that_is_none_gets_an_http_status_and_the_end(sent: bytes, status: int) -> None:
    harness = Harness()
    harness.feed(sent)
    response = harness.said().decode()

    assert response.startswith(f"HTTP/1.1 {status} ")
    head, _, body = response.partition("\r\n\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert "Connection: close" in head
    assert harness.output.is_closed
    assert not harness.dialects
    assert harness.endpoint.refused == {status: 1}


def test_a_wrong_version_is_told_the_right_one_rfc_6455_4_4() -> None:
    assert "\r\nSec-WebSocket-Version: 13\r\n" in Harness().upgrade(Sec_WebSocket_Version="14")


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://ours.example", 101), ("HTTPS://Ours.example", 101), ("https://theirs.example", 403), ("null", 403)],
)
def test_only_pages_on_the_list_may_connect_rfc_6455_10_2(origin: str, status: int) -> None:
    harness = Harness(origins=["https://ours.example"])

    assert harness.upgrade(Origin=origin).startswith(f"HTTP/1.1 {status} ")


def test_who_is_no_browser_names_no_origin_and_may_connect() -> None:
    assert Harness(origins=["https://ours.example"]).upgrade().startswith("HTTP/1.1 101 ")


@pytest.mark.parametrize(
    ("trusted", "forwarded", "peer"),
    [
        ([], "192.0.2.1", "10.0.0.9:4000"),
        (["10.0.0.0/8"], "192.0.2.1", "192.0.2.1:0"),
        (["10.0.0.0/8"], "127.0.0.1, 192.0.2.1", "192.0.2.1:0"),
        (["10.0.0.0/8"], "192.0.2.1, 10.7.7.7", "192.0.2.1:0"),
        (["10.0.0.9"], "192.0.2.1, 10.7.7.7", "10.7.7.7:0"),
        (["10.0.0.0/8"], "2001:db8::1", "[2001:db8::1]:0"),
        (["10.0.0.0/8"], "unknown", "10.0.0.9:4000"),
        (["192.0.2.0/24"], "127.0.0.1", "10.0.0.9:4000"),
    ],
)
def test_the_client_s_address_comes_from_a_header_only_of_a_trusted_proxy(
    trusted: list[str], forwarded: str, peer: str
) -> None:
    harness = Harness(trusted_proxies=trusted)
    harness.upgrade(X_Forwarded_For=forwarded)

    assert harness.dialect.peer == harness.connection.peer == peer


@pytest.mark.parametrize(
    ("enabled", "offer", "agreed"),
    [
        (True, "permessage-deflate", True),
        (True, "permessage-deflate; client_max_window_bits", True),
        (True, "permessage-deflate; client_max_window_bits=12; server_no_context_takeover", True),
        (True, "permessage-deflate; server_max_window_bits=10", False),
        (True, "permessage-deflate; server_max_window_bits=10, permessage-deflate", True),
        (True, "permessage-deflate; unheard_of", False),
        (True, "x-webkit-deflate-frame", False),
        (False, "permessage-deflate", False),
    ],
)
def test_deflate_is_agreed_on_without_context_takeover_rfc_7692_7_1(enabled: bool, offer: str, agreed: bool) -> None:
    response = Harness(deflate=enabled).upgrade(Sec_WebSocket_Extensions=offer)
    answer = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover"

    assert (answer in response) == agreed
    assert ("Extensions" in response) == agreed


def test_who_does_not_finish_the_upgrade_in_time_is_cut() -> None:
    harness = Harness(limits={"handshake_timeout_ms": 5000})
    harness.feed(request()[:40])
    harness.clock.pass_ms(4999)
    assert not harness.output.is_closed
    harness.clock.pass_ms(1)

    assert harness.output.is_closed
    assert harness.endpoint.timed_out == {"upgrade": 1}


def test_who_finished_it_is_not() -> None:
    harness = Harness(limits={"handshake_timeout_ms": 5000}, ping_interval_s=0)
    harness.upgrade()
    harness.clock.pass_ms(60_000)

    assert not harness.output.is_closed
