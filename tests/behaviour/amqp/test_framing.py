"""Frames that no client library sends: the codes that the specification and RabbitMQ give them.

All of these are errors of the connection, not of a channel (AMQP 0-9-1 §4.2.6, §4.8.1). The texts of 501 and 505 quote
Erlang terms in RabbitMQ, so only their first word is compared.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import RawConnection
from tests.support.server import Server

PUBLISH = codec.encode_method("basic.publish", routing_key="nowhere")
METHOD, HEADER, BODY, HEARTBEAT = codec.FRAME_METHOD, codec.FRAME_HEADER, codec.FRAME_BODY, codec.FRAME_HEARTBEAT

Send = Callable[[RawConnection], object]


def publish_then(*frames: tuple[int, bytes]) -> Send:
    """basic.publish, then these frames on the same channel."""

    def send(raw: RawConnection) -> None:
        raw.send_frame(METHOD, 1, PUBLISH)
        for frame_type, payload in frames:
            raw.send_frame(frame_type, 1, payload)

    return send


def frame(frame_type: int, channel: int, payload: bytes, end: int = codec.FRAME_END) -> Send:
    return lambda raw: raw.send_frame(frame_type, channel, payload, end)


def method(channel: int, name: str, **fields: object) -> Send:
    return frame(METHOD, channel, codec.encode_method(name, **fields))


QOS = codec.encode_method("basic.qos")
HEADER_OF_3 = codec.encode_header(3)
BAD_TABLE = codec.encode_method("queue.declare", arguments=codec.encode_longstr(b"\x01a?????"))

ERRORS: dict[str, tuple[Send, int, str]] = {
    # §4.2.3: frame-end must be 0xCE
    "a wrong frame end": (frame(METHOD, 1, QOS, end=0), 501, "FRAME_ERROR"),
    # §4.2.3: types are 1, 2, 3 and 8
    "frame type 5": (frame(5, 1, b"abcd"), 501, "FRAME_ERROR"),
    "frame type 0": (frame(0, 0, b"abcd"), 501, "FRAME_ERROR"),
    "a frame beyond frame_max": (frame(BODY, 1, b"x" * 140_000), 501, "FRAME_ERROR"),
    # the size alone is enough: a gigabyte need not be read to be refused
    "a frame size of a gigabyte": (lambda raw: raw.send_bytes(struct.pack(">BHI", 1, 1, 1 << 30)), 501, "FRAME_ERROR"),
    "an empty method frame": (frame(METHOD, 1, b""), 501, "FRAME_ERROR"),
    "a method frame of one octet": (frame(METHOD, 1, b"\0"), 501, "FRAME_ERROR"),
    "a method without its fields": (frame(METHOD, 1, struct.pack(">HHH", 50, 10, 0)), 501, "FRAME_ERROR"),
    "octets after a method's fields": (
        frame(METHOD, 1, codec.encode_method("queue.declare", exclusive=True) + b"xx"),
        501,
        "FRAME_ERROR",
    ),
    "a heartbeat with a payload": (frame(HEARTBEAT, 0, b"abc"), 501, "FRAME_ERROR"),
    # §4.2.6, §4.2.3
    "a content header without a method": (frame(HEADER, 1, codec.encode_header(0)), 505, "UNEXPECTED_FRAME"),
    "a content body without a method": (frame(BODY, 1, b"x"), 505, "UNEXPECTED_FRAME"),
    "a content header on channel 0": (frame(HEADER, 0, codec.encode_header(0)), 505, "UNEXPECTED_FRAME"),
    "a method instead of a content header": (publish_then((METHOD, QOS)), 505, "UNEXPECTED_FRAME"),
    "a body instead of a content header": (publish_then((BODY, b"x")), 505, "UNEXPECTED_FRAME"),
    "a method instead of a body": (publish_then((HEADER, HEADER_OF_3), (METHOD, QOS)), 505, "UNEXPECTED_FRAME"),
    "a second header instead of a body": (
        publish_then((HEADER, HEADER_OF_3), (HEADER, HEADER_OF_3)),
        505,
        "UNEXPECTED_FRAME",
    ),
    "a header of another class": (publish_then((HEADER, codec.encode_header(3, class_id=50))), 505, "UNEXPECTED_FRAME"),
    "a heartbeat on a channel": (frame(HEARTBEAT, 7, b""), 505, "UNEXPECTED_FRAME"),
    "content on a channel that is not open": (frame(HEADER, 7, codec.encode_header(0)), 505, "UNEXPECTED_FRAME"),
    # channels
    "a second channel.open": (method(1, "channel.open"), 504, "CHANNEL_ERROR - second 'channel.open' seen"),
    "a method on a channel that is not open": (method(7, "basic.qos"), 504, "CHANNEL_ERROR - expected 'channel.open'"),
    "closing a channel that is not open": (method(7, "channel.close"), 504, "CHANNEL_ERROR - expected 'channel.open'"),
    "a channel's method on channel 0": (method(0, "basic.qos"), 504, "CHANNEL_ERROR"),
    "channel.open on channel 0": (method(0, "channel.open"), 504, "CHANNEL_ERROR"),
    "a second connection.open": (method(0, "connection.open", virtual_host="/"), 504, "CHANNEL_ERROR"),
    "connection.tune-ok when running": (method(0, "connection.tune-ok"), 504, "CHANNEL_ERROR"),
    # methods that a client may not send
    "a connection's method on a channel": (
        method(1, "connection.open", virtual_host="/"),
        503,
        "COMMAND_INVALID",
    ),
    "a server's method": (method(1, "queue.declare-ok", queue="q"), 503, "COMMAND_INVALID"),
}


@pytest.mark.parametrize(("send", "code", "text"), ERRORS.values(), ids=ERRORS.keys())
def test_closes_the_connection(raw_open: RawConnection, send: Send, code: int, text: str) -> None:
    """AMQP 0-9-1 §1.4.2.9 with the reply codes of §1.2, as RabbitMQ chooses them."""
    send(raw_open)
    close = raw_open.expect("connection.close")
    assert close.channel == 0
    assert close.fields["reply_code"] == code
    assert close.fields["reply_text"].startswith(text)
    raw_open.send("connection.close-ok")
    raw_open.wait_closed()


@pytest.mark.hubbub_only
@pytest.mark.parametrize(("class_id", "method_id", "channel"), [(99, 10, 1), (60, 99, 1), (10, 99, 0)])
def test_an_unknown_method_closes_the_connection_with_540(
    raw_open: RawConnection, class_id: int, method_id: int, channel: int
) -> None:
    """AMQP 0-9-1 §1.2 not-implemented; RabbitMQ 3.10 crashes its reader instead and resets the socket."""
    raw_open.send_frame(METHOD, channel, struct.pack(">HH", class_id, method_id))
    close = raw_open.expect("connection.close")
    assert (close.fields["reply_code"], close.fields["class_id"], close.fields["method_id"]) == (
        540,
        class_id,
        method_id,
    )


@pytest.mark.hubbub_only
def test_an_unknown_table_type_closes_the_connection_with_502(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.2 syntax-error; RabbitMQ 3.10 crashes its reader instead and resets the socket."""
    raw_open.send_frame(METHOD, 1, BAD_TABLE)
    assert raw_open.expect("connection.close").fields["reply_code"] in (501, 502)


@pytest.mark.hubbub_only
def test_a_broken_property_list_closes_the_connection_with_502(raw_open: RawConnection) -> None:
    """Flags that promise properties which are not there. RabbitMQ 3.10 answers 541 when it needs the properties."""
    publish_then((HEADER, codec.encode_header(0)[:12] + b"\xff\xfc"))(raw_open)
    raw_open.send("basic.qos")
    assert raw_open.expect("connection.close").fields["reply_code"] in (501, 502)


def test_a_body_longer_than_its_header_promised_closes_the_connection(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.6.2: body size is the sum of the payloads."""
    publish_then((HEADER, HEADER_OF_3), (BODY, b"abcde"))(raw_open)
    raw_open.send("basic.qos")
    assert raw_open.expect("connection.close").fields["reply_code"] in (501, 505)


def test_an_error_of_one_connection_leaves_the_others_alone(raw_open: RawConnection, server: Server) -> None:
    """AMQP 0-9-1 §2.2.4: connections are independent."""
    other = RawConnection(server.address).open().open_channel()
    raw_open.send_frame(5, 1, b"abcd")
    raw_open.expect("connection.close")
    other.rpc("basic.qos")
    other.close()


def test_a_publish_may_come_byte_by_byte(raw_open: RawConnection) -> None:
    """TCP promises an order, not a grouping."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    for octet in raw_open.encode_publish("", queue, b"slowly", {"content_type": "text/plain"}):
        raw_open.send_bytes(bytes([octet]))
    raw_open.send("basic.get", queue=queue, no_ack=True)
    got = raw_open.expect("basic.get-ok")
    assert (got.body, got.properties) == (b"slowly", {"content_type": "text/plain"})


def test_a_body_may_come_in_frames_of_any_size(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.6.2: body frames may be short, even empty."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.send_frame(METHOD, 1, codec.encode_method("basic.publish", routing_key=queue))
    raw_open.send_frame(HEADER, 1, codec.encode_header(6))
    for part in (b"a", b"bc", b"", b"def"):
        raw_open.send_frame(BODY, 1, part)
    raw_open.send("basic.get", queue=queue, no_ack=True)
    assert raw_open.expect("basic.get-ok").body == b"abcdef"


def test_content_of_two_channels_may_interleave(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §4.2.6: frames of one channel are in order, channels may mix."""
    raw_open.open_channel(2)
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    for channel in (1, 2):
        raw_open.send_frame(METHOD, channel, codec.encode_method("basic.publish", routing_key=queue))
    for channel in (2, 1):
        raw_open.send_frame(HEADER, channel, codec.encode_header(4))
    for channel, part in ((1, b"on"), (2, b"tw"), (1, b"e1"), (2, b"o2")):
        raw_open.send_frame(BODY, channel, part)
    raw_open.rpc("basic.qos", 2)
    raw_open.rpc("basic.qos", 1)
    found = set()
    for _ in range(2):
        raw_open.send("basic.get", queue=queue, no_ack=True)
        found.add(raw_open.expect("basic.get-ok").body)
    assert found == {b"one1", b"two2"}


def test_a_client_that_goes_in_the_middle_of_a_frame_leaves_nothing_behind(
    raw_open: RawConnection, server: Server
) -> None:
    """Half a message is no message."""
    queue = raw_open.rpc("queue.declare", queue="", exclusive=False, auto_delete=True).fields["queue"]
    raw_open.send_bytes(raw_open.encode_publish("", queue, b"x" * 1000)[:-100])
    raw_open.close()
    other = RawConnection(server.address).open().open_channel()
    assert other.rpc("queue.declare", queue=queue, passive=True).fields["message_count"] == 0
    other.rpc("queue.delete", queue=queue)
    other.close()


def test_a_channel_number_can_be_used_again_after_close(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.5.2.5: after close-ok the number is free."""
    for _ in range(3):
        raw_open.rpc("channel.close", reply_code=200, reply_text="bye")
        raw_open.open_channel()
    raw_open.rpc("basic.qos")


def test_a_channel_number_can_be_used_again_after_the_servers_close(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.5.2.5: the client's close-ok frees the number; what it sent before is ignored."""
    raw_open.send("queue.declare", queue="absent", passive=True)
    assert raw_open.expect("channel.close").fields["reply_code"] == 404
    raw_open.send("basic.qos")
    raw_open.publish("", "nowhere", b"ignored")
    raw_open.send("channel.close-ok")
    raw_open.open_channel()
    raw_open.rpc("basic.qos")


def test_channel_close_names_the_method_that_failed(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.5.2.5: class-id and method-id of the failing method."""
    raw_open.send("queue.declare", queue="absent", passive=True)
    close = raw_open.expect("channel.close")
    assert (close.fields["class_id"], close.fields["method_id"]) == (50, 10)


def test_no_wait_methods_are_carried_out_without_an_answer(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §4.9 no-wait."""
    raw_open.send("queue.declare", queue="nowait.q", exclusive=True, no_wait=True)
    raw_open.send("exchange.declare", exchange="nowait.x", type="fanout", auto_delete=True, no_wait=True)
    raw_open.send("queue.bind", queue="nowait.q", exchange="nowait.x", no_wait=True)
    raw_open.send("confirm.select", no_wait=True)
    raw_open.publish("nowait.x", "", b"there")
    assert raw_open.expect("basic.ack").fields == {"delivery_tag": 1, "multiple": False}
    assert raw_open.rpc("queue.declare", queue="nowait.q", passive=True).fields["message_count"] == 1
    raw_open.send("basic.consume", queue="nowait.q", consumer_tag="c", no_ack=True, no_wait=True)
    assert raw_open.expect("basic.deliver").body == b"there"
    raw_open.send("basic.cancel", consumer_tag="c", no_wait=True)
    raw_open.send("queue.purge", queue="nowait.q", no_wait=True)
    raw_open.send("queue.delete", queue="nowait.q", no_wait=True)
    raw_open.rpc("basic.qos")


def test_channel_flow_active_is_acknowledged(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.5.2.3."""
    assert raw_open.rpc("channel.flow", active=True).fields == {"active": True}


@pytest.mark.peer_only
def test_rabbitmq_does_not_implement_channel_flow_from_the_client(raw_open: RawConnection) -> None:
    """RabbitMQ: use prefetch instead."""
    raw_open.send("channel.flow", active=False)
    close = raw_open.expect("connection.close")
    assert (close.fields["reply_code"], close.fields["reply_text"]) == (540, "NOT_IMPLEMENTED - active=false")


@pytest.mark.hubbub_only
def test_channel_flow_from_the_client_stops_and_resumes_deliveries(raw_open: RawConnection) -> None:
    """AMQP 0-9-1 §1.5.2.3: the peer that gets active=false must stop sending content."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.rpc("basic.consume", queue=queue, no_ack=True)
    assert raw_open.rpc("channel.flow", active=False).fields == {"active": False}
    raw_open.publish("", queue, b"held")
    raw_open.rpc("basic.qos")  # its answer, not a delivery, comes next
    raw_open.send("channel.flow", active=True)
    heard = {raw_open.read_method().name for _ in range(2)}
    assert heard == {"channel.flow-ok", "basic.deliver"}
