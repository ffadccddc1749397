"""kombu (over py-amqp): what Celery and many web applications stand on."""

from __future__ import annotations

import socket
import uuid
from collections.abc import Iterator
from typing import Any

import amqp.exceptions
import kombu
import kombu.serialization
import pytest
from kombu.simple import SimpleQueue


@pytest.fixture
def connection(amqp_url: str) -> Iterator[kombu.Connection]:
    with kombu.Connection(amqp_url, connect_timeout=10, transport_options={"confirm_publish": True}) as connected:
        yield connected


@pytest.fixture
def name() -> str:
    return f"kombu.{uuid.uuid4().hex[:12]}"


def drain(connection: kombu.Connection, received: list[Any], count: int) -> None:
    while len(received) < count:
        connection.drain_events(timeout=10)


def test_producer_and_consumer_exchange_json(connection: kombu.Connection, name: str) -> None:
    """Declares on both sides, confirms publishes, acknowledges."""
    exchange = kombu.Exchange(name, "topic", durable=False, auto_delete=True)
    queue = kombu.Queue(name, exchange, routing_key="a.*", durable=False, auto_delete=True)
    received: list[Any] = []

    def on_message(body: Any, message: kombu.Message) -> None:
        received.append((body, message.delivery_info["routing_key"], message.headers))
        message.ack()

    with connection.Consumer(queue, callbacks=[on_message]), connection.Producer() as producer:
        for number in range(3):
            producer.publish(
                {"n": number}, exchange=exchange, routing_key=f"a.{number}", headers={"h": number}, declare=[queue]
            )
        drain(connection, received, 3)
    assert received == [({"n": n}, f"a.{n}", {"h": n}) for n in range(3)]


@pytest.mark.parametrize("serializer", ["json", "pickle", "yaml"])
def test_simple_queue_with_serializers_and_compression(
    connection: kombu.Connection, name: str, serializer: str
) -> None:
    """content-type, content-encoding and the compression header travel."""
    if serializer == "yaml":
        pytest.importorskip("yaml")
    options = {"durable": False, "auto_delete": True}
    with SimpleQueue(
        connection, name, queue_opts=options, exchange_opts=options, serializer=serializer, compression="zlib"
    ) as queue:
        queue.consumer.accept = kombu.serialization.prepare_accept_content({serializer})
        queue.put({"text": "grün" * 100})
        message = queue.get(timeout=10)
        assert message.payload == {"text": "grün" * 100}
        message.ack()
        with pytest.raises(queue.Empty):
            queue.get_nowait()


def test_requeue_and_reject(connection: kombu.Connection, name: str) -> None:
    """basic.reject both ways."""
    options = {"durable": False, "auto_delete": True}
    with SimpleQueue(connection, name, queue_opts=options, exchange_opts=options) as queue:
        queue.put("m")
        queue.get(timeout=10).requeue()
        again = queue.get(timeout=10)
        assert again.delivery_info["redelivered"]
        again.reject()
        with pytest.raises((queue.Empty, socket.timeout)):
            queue.get(timeout=0.2)


def test_global_qos(connection: kombu.Connection, name: str) -> None:
    """kombu's Consumer.qos(apply_global=True), as Celery does it."""
    queue = kombu.Queue(name, durable=False, auto_delete=True)
    held: list[Any] = []
    with connection.Producer() as producer:
        queue(connection.default_channel).declare()
        for number in range(10):
            producer.publish(number, routing_key=name)
    consumer = connection.Consumer(queue, callbacks=[lambda _body, message: held.append(message)])
    consumer.qos(prefetch_count=4, apply_global=True)
    with consumer:
        drain(connection, held, 4)
        with pytest.raises(socket.timeout):
            connection.drain_events(timeout=0.2)
        assert len(held) == 4
        held[-1].channel.basic_ack(held[-1].delivery_tag, multiple=True)
        drain(connection, held, 8)


def test_priorities_and_ttl_by_queue_options(connection: kombu.Connection, name: str) -> None:
    """max_priority, message_ttl, expires, max_length become x-arguments."""
    queue = kombu.Queue(name, durable=False, max_priority=10, message_ttl=60, expires=60, max_length=100)
    queue(connection.default_channel).declare()
    with connection.Producer() as producer:
        for priority in (1, 9, 5):
            producer.publish(priority, routing_key=name, priority=priority)
    bound = queue(connection.default_channel)
    assert [bound.get(no_ack=True).payload for _ in range(3)] == [9, 5, 1]
    bound.delete()


def test_errors_have_their_classes(connection: kombu.Connection, name: str) -> None:
    """py-amqp maps reply codes to exception classes."""
    with pytest.raises(amqp.exceptions.NotFound):
        connection.channel().queue_declare(name, passive=True)
    channel = connection.channel()
    channel.queue_declare(name, exclusive=True)
    with pytest.raises(amqp.exceptions.PreconditionFailed):
        channel.queue_declare(name, exclusive=True, durable=True, auto_delete=False)
    with (
        kombu.Connection(connection.as_uri(include_password=True)) as other,
        pytest.raises(amqp.exceptions.ResourceLocked),
    ):
        other.channel().queue_declare(name, passive=True)


def test_ensure_publishes_again_after_the_connection_broke(connection: kombu.Connection, name: str) -> None:
    """kombu's retry policy opens a new connection and declares again."""
    queue = kombu.Queue(name, durable=False)
    producer = connection.Producer()
    producer.publish("before", routing_key=name, declare=[queue], retry=True)
    connection.transport.close_connection(connection.connection)
    policy = {"max_retries": 5, "interval_start": 0.05}
    producer.publish("after", routing_key=name, declare=[queue], retry=True, retry_policy=policy)
    bound = queue(connection.channel())
    assert [bound.get(no_ack=True).payload for _ in range(2)] == ["before", "after"]
    bound.delete()


def test_heartbeat_check_finds_a_living_connection(amqp_url: str) -> None:
    """py-amqp raises when the server misses two beats."""
    with kombu.Connection(amqp_url, heartbeat=1) as connected:
        connected.connect()
        for _ in range(8):
            with pytest.raises(socket.timeout):
                connected.drain_events(timeout=0.3)
            connected.heartbeat_check(rate=2)
