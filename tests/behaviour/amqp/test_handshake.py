"""The connection class up to connection.open-ok: protocol header, SASL, tuning, vhost."""

from __future__ import annotations

import contextlib
import time

import pika
import pika.exceptions
import pytest

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import PeerClosedError, RawConnection
from tests.support.pika_client import Scratch

LOGIN_REFUSED = (
    "ACCESS_REFUSED - Login was refused using authentication mechanism {}. For details see the broker logfile."
)


def assert_refused(raw: RawConnection) -> None:
    """Told or not: there is no other answer than the end."""
    with contextlib.suppress(PeerClosedError, ConnectionResetError):
        assert raw.read_method().name == "connection.close"


def assert_refused_silently(raw: RawConnection) -> None:
    """Without authentication_failure_close the server just ends the connection (some time later, against guessing)."""
    with pytest.raises((PeerClosedError, ConnectionResetError)):
        raw.read_frame()


def test_the_server_starts_with_version_0_9_and_offers_plain_and_amqplain(raw: RawConnection) -> None:
    """AMQP 0-9-1 §1.4.2.1 connection.start."""
    start = raw.start()
    assert (start.fields["version_major"], start.fields["version_minor"]) == (0, 9)
    assert {b"PLAIN", b"AMQPLAIN"} <= set(start.fields["mechanisms"].split())
    assert b"en_US" in start.fields["locales"].split()


def test_server_properties_name_the_product_and_its_version(raw: RawConnection) -> None:
    """AMQP 0-9-1 §1.4.2.1: server-properties should name product, version, platform."""
    raw.start()
    for name in ("product", "version", "platform", "information"):
        assert isinstance(raw.server_properties[name], str), name
        assert raw.server_properties[name], name


@pytest.mark.parametrize(
    "capability",
    [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ],
)
def test_server_capabilities_announce(raw: RawConnection, capability: str) -> None:
    """RabbitMQ: capabilities; clients switch features on by these flags."""
    raw.start()
    assert raw.server_properties["capabilities"][capability] is True


@pytest.mark.parametrize(
    "header",
    [b"AMQP\x00\x01\x00\x00", b"AMQP\x03\x01\x00\x00", b"AMQP\x00\x00\x09\x02", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 8],
    ids=["amqp-1.0", "amqp-1.0-sasl", "0-9-2", "http", "garbage"],
)
def test_a_wrong_protocol_header_is_answered_with_ours_and_a_close(raw: RawConnection, header: bytes) -> None:
    """AMQP 0-9-1 §4.2.2: the server must answer with a header that it supports, and close."""
    raw.send_bytes(header)
    assert raw.read_raw(8) == codec.PROTOCOL_HEADER
    raw.wait_closed()


def test_the_protocol_header_may_come_byte_by_byte(raw: RawConnection) -> None:
    """TCP promises an order, not a grouping."""
    for octet in codec.PROTOCOL_HEADER:
        raw.send_bytes(bytes([octet]))
        time.sleep(0.002)  # so that the kernel does not join the octets
    raw.expect("connection.start")


def test_plain_logs_in(raw: RawConnection) -> None:
    """RFC 4616."""
    raw.open()


def test_amqplain_logs_in(raw: RawConnection) -> None:
    """AMQPLAIN: a field table without its length."""
    raw.start()
    table = codec.encode_table({"LOGIN": "guest", "PASSWORD": "guest"})
    raw.start_ok(mechanism="AMQPLAIN", response=table[4:])
    raw.expect("connection.tune")


@pytest.mark.parametrize(("user", "password"), [("guest", "wrong"), ("nobody", "guest"), ("", "")])
def test_a_refused_login_is_told_403_to_clients_that_understand_it(
    raw: RawConnection, user: str, password: str
) -> None:
    """RabbitMQ: authentication failure notification. The text must not say which of user and password was wrong."""
    raw.start()
    raw.start_ok(user, password)
    close = raw.expect("connection.close")
    assert (close.fields["reply_code"], close.fields["reply_text"]) == (403, LOGIN_REFUSED.format("PLAIN"))


def test_a_refused_login_ends_the_connection_of_clients_that_do_not_announce_the_capability(raw: RawConnection) -> None:
    """AMQP 0-9-1 §1.4.2.2: a server that refuses closes the socket."""
    raw.start()
    raw.start_ok(password="wrong", capabilities={})
    assert_refused_silently(raw)


@pytest.mark.parametrize(
    ("mechanism", "response"),
    [("NONSENSE", b"\0guest\0guest"), ("PLAIN", b"no zeros"), ("AMQPLAIN", b"\x05LOGIN"), ("AMQPLAIN", b"")],
)
def test_a_malformed_login_is_not_accepted(raw: RawConnection, mechanism: str, response: bytes) -> None:
    """Whatever the words, there is no connection.tune."""
    raw.start()
    raw.start_ok(mechanism=mechanism, response=response)
    assert_refused(raw)


def test_pika_reports_a_refused_login_as_such(scratch: Scratch) -> None:
    """pika's ProbableAuthenticationError comes from the 403 during the handshake."""
    with pytest.raises(pika.exceptions.ProbableAuthenticationError):
        scratch.connect(credentials=pika.PlainCredentials("guest", "wrong"))


def test_an_unknown_vhost_is_refused_with_530(raw: RawConnection) -> None:
    """RabbitMQ: NOT_ALLOWED, where the specification's invalid-path (402) is the older word."""
    raw.start()
    raw.start_ok()
    raw.tune_ok()
    raw.send("connection.open", virtual_host="nowhere")
    close = raw.expect("connection.close")
    assert close.fields == {
        "reply_code": 530,
        "reply_text": "NOT_ALLOWED - vhost nowhere not found",
        "class_id": 10,
        "method_id": 40,
    }


def test_tuning_offers_what_rabbitmq_offers(raw: RawConnection) -> None:
    """RabbitMQ defaults: frame_max 131072, channel_max 2047, heartbeat 60 s."""
    raw.open()
    assert raw.tune == {"channel_max": 2047, "frame_max": 131072, "heartbeat": 60}


def test_a_smaller_frame_max_is_obeyed_by_the_server(raw: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.3: a frame is never larger than what was negotiated, and a body is cut to fit."""
    raw.open(frame_max=4096).open_channel()
    queue = raw.rpc("queue.declare", exclusive=True).fields["queue"]
    raw.publish("", queue, b"x" * 10_000)
    raw.send("basic.get", queue=queue, no_ack=True)
    raw.read_frame()
    raw.read_frame()
    parts = [raw.read_frame().payload for _ in range(3)]
    assert max(len(part) for part in parts) <= 4096 - 8
    assert sum(len(part) for part in parts) == 10_000


@pytest.mark.parametrize("frame_max", [1, 1000, 4095])
def test_a_frame_max_below_4096_is_refused(raw: RawConnection, frame_max: int) -> None:
    """AMQP 0-9-1 §1.4.2.5: frame-min-size is 4096."""
    raw.start()
    raw.start_ok()
    raw.tune_ok(frame_max=frame_max)
    raw.send("connection.open", virtual_host="/")
    assert_refused(raw)


@pytest.mark.parametrize(("channel_max", "frame_max"), [(None, 1 << 20), (65535, None)])
def test_a_client_may_not_raise_what_the_server_offered(
    raw: RawConnection, channel_max: int | None, frame_max: int | None
) -> None:
    """AMQP 0-9-1 §1.4.2.6: tune-ok must not exceed tune."""
    raw.start()
    raw.start_ok()
    raw.tune_ok(channel_max=channel_max, frame_max=frame_max)
    raw.send("connection.open", virtual_host="/")
    assert_refused(raw)


def test_more_channels_than_negotiated_are_refused(raw: RawConnection) -> None:
    """RabbitMQ answers 530 and closes the connection."""
    raw.open(channel_max=2).open_channel(1).open_channel(2)
    raw.send("channel.open", 3)
    close = raw.expect("connection.close")
    assert close.fields["reply_code"] == 530
    assert close.fields["reply_text"] == (
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
    )


@pytest.mark.hubbub_only
def test_a_channel_number_above_channel_max_is_refused(raw: RawConnection) -> None:
    """AMQP 0-9-1 §1.4.2.6.1; RabbitMQ 3.10 counts channels but takes any number."""
    raw.open(channel_max=5)
    raw.send("channel.open", 6)
    assert raw.expect("connection.close").fields["reply_code"] in (504, 530)


def test_methods_before_connection_open_are_refused(raw: RawConnection) -> None:
    """RabbitMQ: 505 for a channel before connection.open-ok."""
    raw.start()
    raw.start_ok()
    raw.tune_ok()
    raw.send("channel.open")
    assert raw.expect("connection.close").fields["reply_code"] == 505


def test_connection_open_before_tune_ok_is_refused(raw: RawConnection) -> None:
    """AMQP 0-9-1 §2.2.4: the handshake has one order."""
    raw.start()
    raw.start_ok()
    raw.expect("connection.tune")
    raw.send("connection.open", virtual_host="/")
    assert_refused(raw)


def test_connection_close_is_answered_and_the_socket_ends(raw: RawConnection) -> None:
    """AMQP 0-9-1 §1.4.2.9."""
    raw.open()
    raw.rpc("connection.close", reply_code=200, reply_text="bye")
    raw.socket.shutdown(1)
    raw.wait_closed()


def test_methods_after_the_servers_connection_close_are_ignored_until_close_ok(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.4.2.9: after close, only close and close-ok count."""
    raw_open.send("channel.open")  # a second open of channel 1
    raw_open.send("basic.qos")
    raw_open.expect("connection.close")
    raw_open.send("queue.declare", exclusive=True)
    raw_open.send("connection.close-ok")
    raw_open.wait_closed()


def test_update_secret_is_acknowledged(scratch: Scratch) -> None:
    """RabbitMQ: connection.update-secret refreshes a token without a reconnect."""
    connection = scratch.connect()
    connection.update_secret("guest", "rotation")
    connection.channel().basic_qos()
