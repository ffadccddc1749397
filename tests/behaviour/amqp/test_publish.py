"""basic.publish: bodies, properties, mandatory, confirms, sender-selected distribution, user-id."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import RawConnection
from tests.support.pika_client import (
    Inbox,
    Scratch,
    bodies,
    closes_channel,
    get_soon,
    pump,
    settle_down,
)

Returned = list[tuple[int, str, str, str, bytes]]


def collect_returns(channel: BlockingChannel) -> Returned:
    returned: Returned = []
    channel.add_on_return_callback(
        lambda _channel, method, _properties, body: returned.append(
            (method.reply_code, method.reply_text, method.exchange, method.routing_key, body)
        )
    )
    return returned


# ---- bodies and properties


@pytest.mark.parametrize("size", [0, 1, 4096, 131072 - 8, 131072 - 7, 131072, 300_000, 1 << 20], ids=str)
def test_a_body_of_any_size_comes_back(channel: BlockingChannel, scratch: Scratch, size: int) -> None:
    """AMQP 0-9-1 §4.2.6.2: around frame_max the number of body frames changes; 0 octets need no body frame."""
    queue = scratch.queue(channel)
    body = bytes(index * 31 % 251 for index in range(min(size, 5000))) * (size // 5000 + 1)
    body = body[:size]
    channel.basic_publish("", queue, body)
    assert get_soon(channel, queue).body == body


def test_a_large_body_is_delivered_to_a_consumer(channel: BlockingChannel, scratch: Scratch) -> None:
    """8 MiB, through a durable queue."""
    queue = scratch.queue(channel, durable=True)
    body = bytes(range(256)) * (1 << 15)
    channel.confirm_delivery()
    channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))
    inbox = Inbox(channel, queue, auto_ack=True)
    assert inbox.wait(1)[0].body == body


ALL_PROPERTIES: dict[str, Any] = {
    "content_type": "application/json",
    "content_encoding": "gzip",
    "headers": {"a": 1},
    "delivery_mode": 2,
    "priority": 7,
    "correlation_id": "c-1",
    "reply_to": "somewhere",
    "expiration": "3600000",
    "message_id": "m-1",
    "timestamp": 1_700_000_000,
    "type": "event",
    "user_id": "guest",
    "app_id": "tests",
    "cluster_id": "cluster",
}


def test_all_14_properties_come_back(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.1."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"m", pika.BasicProperties(**ALL_PROPERTIES))
    properties = get_soon(channel, queue).properties
    assert {name: getattr(properties, name) for name in ALL_PROPERTIES} == ALL_PROPERTIES


@pytest.mark.parametrize("name", ALL_PROPERTIES)
def test_each_property_alone_comes_back(channel: BlockingChannel, scratch: Scratch, name: str) -> None:
    """AMQP 0-9-1 §4.2.6.1: the flags say which are there; nothing is added."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"m", pika.BasicProperties(**{name: ALL_PROPERTIES[name]}))
    properties = get_soon(channel, queue).properties
    assert {key: getattr(properties, key) for key in ALL_PROPERTIES if getattr(properties, key) is not None} == {
        name: ALL_PROPERTIES[name]
    }


def test_headers_of_every_type_pika_knows_come_back(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §4.2.5.5, RabbitMQ's errata."""
    headers = {
        "text": "grün",
        "octets": b"\x00\xff",
        "yes": True,
        "no": False,
        "small": -5,
        "large": 1 << 40,
        "decimal": decimal.Decimal("3.14"),
        "time": datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC),
        "void": None,
        "table": {"inner": {"deep": [1, "two", None, {"three": True}]}},
        "array": [],
        "": "an empty name",
    }
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers=headers))
    assert get_soon(channel, queue).properties.headers == headers


EVERY_TYPE = {
    "t": codec.TypedValue(b"t", b"\x01"),
    "b": codec.TypedValue(b"b", b"\x80"),
    "s": codec.TypedValue(b"s", b"\x80\x00"),
    "I": codec.TypedValue(b"I", b"\x80\x00\x00\x01"),
    "l": codec.TypedValue(b"l", b"\x80\x00\x00\x00\x00\x00\x00\x01"),
    "f": codec.TypedValue(b"f", b"\x40\x20\x00\x00"),
    "d": codec.TypedValue(b"d", b"\x40\x09\x21\xfb\x54\x44\x2d\x18"),
    "D": codec.TypedValue(b"D", b"\x02\x00\x00\x01\x3a"),
    "S": codec.TypedValue(b"S", codec.encode_longstr(b"text")),
    "x": codec.TypedValue(b"x", codec.encode_longstr(b"\x00\xff")),
    "T": codec.TypedValue(b"T", b"\x00\x00\x00\x00\x65\x53\xf1\x00"),
    "V": codec.TypedValue(b"V", b""),
    "F": codec.TypedValue(b"F", codec.encode_table({"inner": 1})),
    "A": codec.TypedValue(b"A", codec.encode_longstr(codec.encode_value(1) + codec.encode_value("x"))),
    "B": codec.TypedValue(b"B", b"\xff"),
    "u": codec.TypedValue(b"u", b"\xff\xff"),
    "i": codec.TypedValue(b"i", b"\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("tag", EVERY_TYPE)
def test_a_header_of_each_wire_type_comes_back_octet_for_octet(raw_open: RawConnection, tag: str) -> None:
    """RabbitMQ's errata: t b B s u I i l f d D S x A T F V; the broker passes properties on as they came."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    table = codec.encode_table({"h": EVERY_TYPE[tag]})
    raw_open.publish("", queue, b"", {"headers": table})
    raw_open.send("basic.get", queue=queue, no_ack=True)
    raw_open.read_frame()
    assert table in raw_open.read_frame().payload


def test_a_delivery_names_exchange_and_routing_key(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.9."""
    exchange = scratch.exchange(channel, "topic")
    queue = scratch.bound_queue(channel, exchange, "#")
    inbox = Inbox(channel, queue)
    channel.basic_publish(exchange, "a.b.c", b"")
    method = inbox.wait(1)[0].method
    assert (method.exchange, method.routing_key) == (exchange, "a.b.c")
    assert (method.redelivered, method.consumer_tag) == (False, inbox.consumer_tag)


@pytest.mark.parametrize("length", [0, 1, 255])
def test_a_routing_key_of_any_length(channel: BlockingChannel, scratch: Scratch, length: int) -> None:
    """AMQP 0-9-1 §4.2.5.3: a short string has 0 to 255 octets."""
    exchange = scratch.exchange(channel, "direct")
    queue = scratch.bound_queue(channel, exchange, "k" * length)
    channel.basic_publish(exchange, "k" * length, b"m")
    assert get_soon(channel, queue).method.routing_key == "k" * length


# ---- mandatory, immediate


def test_mandatory_returns_what_routes_nowhere_with_312(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.7.4."""
    returned = collect_returns(channel)
    exchange = scratch.exchange(channel, "direct")
    channel.basic_publish(exchange, "nowhere", b"back", mandatory=True)
    pump(channel, lambda: returned)
    assert returned == [(312, "NO_ROUTE", exchange, "nowhere", b"back")]


def test_mandatory_to_the_default_exchange(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.7.4."""
    returned = collect_returns(channel)
    channel.basic_publish("", "nowhere", b"x" * 200_000, mandatory=True)
    pump(channel, lambda: returned)
    assert returned == [(312, "NO_ROUTE", "", "nowhere", b"x" * 200_000)]


def test_a_returned_message_brings_its_properties(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.8."""
    seen: list[Any] = []
    channel.add_on_return_callback(lambda _channel, _method, properties, _body: seen.append(properties))
    channel.basic_publish("", "nowhere", b"", pika.BasicProperties(**ALL_PROPERTIES), mandatory=True)
    pump(channel, lambda: seen)
    assert {name: getattr(seen[0], name) for name in ALL_PROPERTIES} == ALL_PROPERTIES


def test_what_was_routed_is_not_returned(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.7.4."""
    returned = collect_returns(channel)
    channel.basic_publish("", scratch.queue(channel), b"", mandatory=True)
    settle_down(channel)
    assert returned == []


def test_what_is_not_mandatory_is_dropped_quietly(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.7.4."""
    returned = collect_returns(channel)
    channel.basic_publish("", "nowhere", b"")
    settle_down(channel)
    assert returned == []


def test_a_return_comes_before_its_confirm(raw_open: RawConnection) -> None:
    """RabbitMQ: basic.return, then basic.ack."""
    raw_open.rpc("confirm.select")
    raw_open.publish("", "nowhere", b"back", mandatory=True)
    assert raw_open.expect("basic.return").body == b"back"
    assert raw_open.expect("basic.ack").fields["delivery_tag"] == 1


def test_immediate_is_540(raw_open: RawConnection) -> None:
    """RabbitMQ removed it in 3.0; a connection error."""
    raw_open.publish("", "nowhere", b"", immediate=True)
    close = raw_open.expect("connection.close")
    assert (close.fields["reply_code"], close.fields["reply_text"]) == (540, "NOT_IMPLEMENTED - immediate=true")
    assert (close.fields["class_id"], close.fields["method_id"]) == (60, 40)


# ---- confirms


def test_confirm_select_numbers_publishes_from_1(raw_open: RawConnection) -> None:
    """RabbitMQ: publisher confirms; what came before confirm.select does not count."""
    queue = raw_open.rpc("queue.declare", exclusive=True).fields["queue"]
    raw_open.publish("", queue, b"before")
    raw_open.rpc("confirm.select")
    raw_open.publish("", queue, b"after")
    assert raw_open.expect("basic.ack").fields["delivery_tag"] == 1


def confirmed_tags(raw: RawConnection, count: int) -> set[int]:
    """Read basic.acks until `count` tags are confirmed, multiple or not."""
    tags: set[int] = set()
    while len(tags) < count:
        ack = raw.expect("basic.ack").fields
        tag: int = ack["delivery_tag"]
        tags |= set(range(1, tag + 1)) if ack["multiple"] else {tag}
    return tags


@pytest.mark.parametrize("delivery_mode", [1, 2], ids=["transient", "persistent"])
def test_every_publish_is_confirmed(raw_open: RawConnection, scratch: Scratch, delivery_mode: int) -> None:
    """RabbitMQ: singly or with multiple, in any grouping."""
    queue = scratch.name("q")
    raw_open.rpc("queue.declare", queue=queue, durable=True)
    raw_open.rpc("confirm.select")
    properties = {"delivery_mode": delivery_mode}
    raw_open.send_bytes(b"".join(raw_open.encode_publish("", queue, b"m", properties) for _ in range(500)))
    assert confirmed_tags(raw_open, 500) == set(range(1, 501))


def test_an_unroutable_message_is_confirmed(raw_open: RawConnection) -> None:
    """RabbitMQ: the exchange has done its duty; confirm is no promise of a queue."""
    raw_open.rpc("confirm.select")
    raw_open.publish("", "nowhere", b"")
    assert confirmed_tags(raw_open, 1) == {1}


def test_confirm_select_twice_is_fine(raw_open: RawConnection) -> None:
    """RabbitMQ: and the numbers go on."""
    raw_open.rpc("confirm.select")
    raw_open.publish("", "nowhere", b"")
    assert confirmed_tags(raw_open, 1) == {1}
    raw_open.rpc("confirm.select")
    raw_open.publish("", "nowhere", b"")
    assert raw_open.expect("basic.ack").fields["delivery_tag"] == 2


def test_rejected_publishes_are_nacked_by_their_number(raw_open: RawConnection) -> None:
    """RabbitMQ: overflow reject-publish."""
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = raw_open.rpc("queue.declare", exclusive=True, arguments=arguments).fields["queue"]
    raw_open.rpc("confirm.select")
    raw_open.publish("", queue, b"in")
    assert raw_open.read_method().name == "basic.ack"
    raw_open.publish("", queue, b"out")
    raw_open.publish("", "nowhere", b"elsewhere")
    answers = {
        (method.name, method.fields["delivery_tag"]) for method in (raw_open.read_method(), raw_open.read_method())
    }
    assert answers == {("basic.nack", 2), ("basic.ack", 3)}


def test_confirm_and_tx_do_not_mix(connection: BlockingConnection) -> None:
    """RabbitMQ: 406 either way."""
    channel = connection.channel()
    channel.confirm_delivery()
    with closes_channel(channel, 406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"):
        channel.tx_select()
    channel = connection.channel()
    channel.tx_select()
    with closes_channel(channel, 406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"):
        channel.confirm_delivery()


# ---- CC, BCC, user-id


def test_cc_and_bcc_route_like_further_routing_keys(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: sender-selected distribution; BCC is removed before delivery, CC stays."""
    to, cc1, cc2, bcc = (scratch.queue(channel) for _ in range(4))
    headers = {"CC": [cc1, cc2], "BCC": [bcc], "other": 1}
    channel.basic_publish("", to, b"m", pika.BasicProperties(headers=headers))
    for queue in (to, cc1, cc2, bcc):
        delivery = get_soon(channel, queue)
        assert delivery.properties.headers == {"CC": [cc1, cc2], "other": 1}
        assert delivery.method.routing_key == to


def test_cc_to_the_same_queue_delivers_once(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: a queue gets a message once."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"m", pika.BasicProperties(headers={"CC": [queue, queue], "BCC": [queue]}))
    assert bodies(channel, queue) == [b"m"]


def test_every_exchange_on_the_way_looks_at_all_routing_keys(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: one key leads through an exchange, another one from there to the queue."""
    first, second, queue = (
        scratch.exchange(channel, "direct"),
        scratch.exchange(channel, "topic"),
        scratch.queue(channel),
    )
    channel.exchange_bind(second, first, "through")
    channel.queue_bind(queue, second, "to.the.queue")
    channel.basic_publish(first, "", b"m", pika.BasicProperties(headers={"CC": ["through"], "BCC": ["to.the.queue"]}))
    assert get_soon(channel, queue).body == b"m"


def test_cc_makes_a_mandatory_message_routable(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: sender-selected distribution."""
    queue = scratch.queue(channel)
    returned = collect_returns(channel)
    channel.basic_publish("", "nowhere", b"m", pika.BasicProperties(headers={"CC": [queue]}), mandatory=True)
    assert get_soon(channel, queue).body == b"m"
    settle_down(channel)
    assert returned == []


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_a_cc_that_is_no_array_is_406(channel: BlockingChannel, header: str) -> None:
    """RabbitMQ: an array of long strings."""
    with closes_channel(channel, 406) as refusal:
        channel.basic_publish("", "nowhere", b"", pika.BasicProperties(headers={header: "queue"}))
    assert refusal.text.startswith("PRECONDITION_FAILED - invalid ")
    assert header in refusal.text


def test_a_user_id_must_be_the_connections_user(channel: BlockingChannel) -> None:
    """RabbitMQ: validated user-id."""
    text = "PRECONDITION_FAILED - user_id property set to 'somebody' but authenticated user was 'guest'"
    with closes_channel(channel, 406, text):
        channel.basic_publish("", "nowhere", b"", pika.BasicProperties(user_id="somebody"))


# ---- order


def test_messages_of_one_channel_keep_their_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §4.7: one channel, one exchange, one queue, one channel."""
    queue = scratch.queue(channel)
    inbox = Inbox(channel, queue, auto_ack=True)
    expected = [str(number).encode() for number in range(3000)]
    for body in expected:
        channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=1 + int(body) % 2))
    inbox.wait(len(expected))
    assert inbox.bodies == expected


def test_publishing_to_an_absent_exchange_in_confirm_mode_closes_the_channel(
    channel: BlockingChannel, connection: BlockingConnection
) -> None:
    """AMQP 0-9-1 §1.8.3.7.3; the connection and its other channels go on."""
    channel.confirm_delivery()
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.basic_publish("absent", "", b"")
    assert closed.value.reply_code == 404
    connection.channel().basic_qos()
