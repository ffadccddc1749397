"""no-local, exclusive, priorities, single active consumer, direct reply-to, and clients that do not read."""

from __future__ import annotations

from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp_raw import RawConnection
from tests.support.pika_client import (
    Inbox,
    Scratch,
    closes_channel,
    get_soon,
)
from tests.support.server import Server


def publish(channel: BlockingChannel, queue: str, count: int) -> list[bytes]:
    """`count` messages, 0, 1, 2…"""
    sent = [str(number).encode() for number in range(count)]
    for body in sent:
        channel.basic_publish("", queue, body)
    return sent


# ---- no-local, exclusive, priorities, single active consumer


@pytest.mark.hubbub_only
def test_no_local_keeps_a_connections_own_messages_from_it(raw_open: RawConnection, server: Server) -> None:
    """AMQP 0-9-1 §1.8.3.3 no-local; RabbitMQ ignores it."""
    queue = raw_open.rpc("queue.declare", auto_delete=True).fields["queue"]
    raw_open.rpc("basic.consume", queue=queue, no_local=True, no_ack=True)
    raw_open.publish("", queue, b"mine")
    other = RawConnection(server.address).open().open_channel()
    other.publish("", queue, b"theirs")
    assert raw_open.expect("basic.deliver").body == b"theirs"
    other.close()


@pytest.mark.parametrize("exclusive_first", [True, False])
def test_an_exclusive_consumer_stays_alone(channel: BlockingChannel, scratch: Scratch, exclusive_first: bool) -> None:
    """AMQP 0-9-1 §1.8.3.3 exclusive: access-refused either way."""
    queue = scratch.queue(channel)
    Inbox(channel, queue, exclusive=exclusive_first)
    other = scratch.connect().channel()
    with closes_channel(other, 403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        other.basic_consume(queue, lambda *_: None, exclusive=not exclusive_first)


def test_the_place_of_an_exclusive_consumer_is_free_after_it(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.3."""
    queue = scratch.queue(channel)
    inbox = Inbox(channel, queue, exclusive=True)
    channel.basic_cancel(inbox.consumer_tag)
    Inbox(scratch.connect().channel(), queue, exclusive=True)


def test_consumers_of_higher_priority_are_served_first(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-priority; the others get what those have no credit for."""
    queue = scratch.queue(channel)
    channel.basic_qos(prefetch_count=3)
    low = Inbox(channel, queue)
    high = Inbox(channel, queue, arguments={"x-priority": 10})
    publish(channel, queue, 4)
    high.wait(3)
    low.wait(1)
    assert (high.bodies, low.bodies) == ([b"0", b"1", b"2"], [b"3"])


def test_negative_consumer_priorities_are_below_the_default(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the default is 0."""
    queue = scratch.queue(channel)
    low = Inbox(channel, queue, auto_ack=True, arguments={"x-priority": -1})
    plain = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, 5)
    plain.stays_at(5)
    assert low.bodies == []


def test_a_consumer_priority_must_be_a_number(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: 406."""
    queue = scratch.queue(channel)
    text = (
        f"PRECONDITION_FAILED - invalid arg 'x-priority' for queue '{queue}' in vhost '/': "
        '"expected integer, got longstr"'
    )
    with closes_channel(channel, 406, text):
        channel.basic_consume(queue, lambda *_: None, arguments={"x-priority": "high"})


def test_single_active_consumer_serves_the_first_alone(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-single-active-consumer; the next takes over when the active one goes."""
    queue = scratch.queue(channel, {"x-single-active-consumer": True})
    first, second, third = (Inbox(channel, queue, auto_ack=True) for _ in range(3))
    publish(channel, queue, 6)
    first.stays_at(6)
    channel.basic_cancel(first.consumer_tag)
    channel.basic_publish("", queue, b"next")
    second.wait(1)
    assert (second.bodies, third.bodies) == ([b"next"], [])


def test_the_next_single_active_consumer_gets_what_the_first_left(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: unacknowledged messages are requeued and come first."""
    queue = scratch.queue(channel, {"x-single-active-consumer": True})
    going = scratch.connect()
    leaving = going.channel()
    leaving.basic_qos(prefetch_count=2)
    first = Inbox(leaving, queue)
    second = Inbox(channel, queue, auto_ack=True)
    publish(channel, queue, 4)
    first.stays_at(2)
    assert second.bodies == []
    going.close()
    second.wait(4)
    assert second.bodies == [b"0", b"1", b"2", b"3"]


def test_single_active_and_exclusive_do_not_mix(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: 403."""
    queue = scratch.queue(channel, {"x-single-active-consumer": True})
    with closes_channel(channel, 403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        channel.basic_consume(queue, lambda *_: None, exclusive=True)


# ---- direct reply-to

REPLY_TO = "amq.rabbitmq.reply-to"


def test_direct_reply_to_answers_without_a_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the server sees a reply-to that it can publish to by the default exchange."""
    requests = scratch.queue(channel)
    replies = Inbox(channel, REPLY_TO, auto_ack=True)
    properties = pika.BasicProperties(reply_to=REPLY_TO, correlation_id="42")
    channel.basic_publish("", requests, b"question", properties)
    answering = scratch.connect().channel()
    request = get_soon(answering, requests)
    assert request.properties.reply_to.startswith(f"{REPLY_TO}.")
    answering.basic_publish(
        "", request.properties.reply_to, b"answer", pika.BasicProperties(correlation_id="42"), mandatory=True
    )
    reply = replies.wait(1)[0]
    assert (reply.body, reply.properties.correlation_id) == (b"answer", "42")
    assert reply.method.exchange == ""


def test_direct_reply_to_can_be_asked_for_by_passive_declare(channel: BlockingChannel) -> None:
    """RabbitMQ: servers look whether the client still waits."""
    told = channel.queue_declare(REPLY_TO, passive=True).method
    assert (told.queue, told.message_count) == (REPLY_TO, 0)


def test_direct_reply_to_needs_auto_ack(channel: BlockingChannel) -> None:
    """RabbitMQ: 406."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - reply consumer cannot acknowledge"):
        channel.basic_consume(REPLY_TO, lambda *_: None)


def test_direct_reply_to_is_once_per_channel(channel: BlockingChannel) -> None:
    """RabbitMQ: 406."""
    Inbox(channel, REPLY_TO, auto_ack=True)
    with closes_channel(channel, 406, "PRECONDITION_FAILED - reply consumer already set"):
        channel.basic_consume(REPLY_TO, lambda *_: None, auto_ack=True)


def test_direct_reply_to_without_a_consumer_is_406(channel: BlockingChannel) -> None:
    """RabbitMQ: checked when the request is published."""
    with closes_channel(channel, 406, "PRECONDITION_FAILED - fast reply consumer does not exist"):
        channel.basic_publish("", "nowhere", b"", pika.BasicProperties(reply_to=REPLY_TO))


def test_a_reply_to_a_client_that_went_is_dropped(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: replies may be lost, and the answering side is not harmed."""
    requests = scratch.queue(channel)
    asking = scratch.connect()
    other = asking.channel()
    Inbox(other, REPLY_TO, auto_ack=True)
    other.basic_publish("", requests, b"question", pika.BasicProperties(reply_to=REPLY_TO))
    request = get_soon(channel, requests)
    asking.close()
    channel.basic_publish("", request.properties.reply_to, b"too late")
    channel.basic_qos()


# ---- clients that do not wait


def test_a_consumer_that_does_not_read_does_not_hold_up_the_broker(server: Server, scratch: Scratch) -> None:
    """What a full socket cannot take stays in the queue; others are served."""
    lazy = RawConnection(server.address).open().open_channel()
    queue = lazy.rpc("queue.declare", exclusive=True).fields["queue"]
    lazy.rpc("basic.consume", queue=queue, no_ack=True)
    channel = scratch.connect().channel()
    body = b"x" * 100_000
    for _ in range(200):
        channel.basic_publish("", queue, body)
    other = scratch.queue(channel)
    publish(channel, other, 1)
    assert get_soon(channel, other).body == b"0"
    assert sum(len(lazy.expect("basic.deliver").body) for _ in range(200)) == 200 * len(body)
    lazy.close()


def test_select_connection_consumes_what_it_publishes(amqp_url: str, scratch: Scratch) -> None:
    """pika's asynchronous adapter: open, declare, consume, publish, acknowledge, close, all by callbacks."""
    queue = scratch.name("q")
    heard: list[bytes] = []

    def on_open(connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=on_channel)

    def on_channel(channel: Any) -> None:
        def on_message(_channel: Any, method: Any, _properties: Any, body: bytes) -> None:
            heard.append(body)
            channel.basic_ack(method.delivery_tag)
            if len(heard) == 10:
                channel.connection.close()

        def on_declared(_frame: Any) -> None:
            channel.basic_consume(queue, on_message)
            for number in range(10):
                channel.basic_publish("", queue, str(number).encode())

        channel.queue_declare(queue, callback=on_declared)

    connection = pika.SelectConnection(
        pika.URLParameters(amqp_url),
        on_open_callback=on_open,
        on_close_callback=lambda connection, _reason: connection.ioloop.stop(),
        on_open_error_callback=lambda connection, _error: connection.ioloop.stop(),
    )
    connection.ioloop.call_later(20, connection.ioloop.stop)
    connection.ioloop.start()
    assert heard == [str(number).encode() for number in range(10)]
