"""What a restart keeps and what it forgets: one server is filled, killed with SIGKILL, started again, and looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pika
import pika.exceptions
import pytest
from pika.adapters.blocking_connection import BlockingChannel, BlockingConnection

from tests.support.pika_client import bodies, connect, get, get_soon
from tests.support.server import Server, make_server, peer_name

PERSISTENT = pika.BasicProperties(delivery_mode=2)
PROPERTIES: dict[str, Any] = {
    "content_type": "text/plain",
    "headers": {"a": [1, "x", None]},
    "delivery_mode": 2,
    "priority": 4,
    "correlation_id": "c",
    "message_id": "m",
    "timestamp": 1_700_000_000,
    "app_id": "tests",
}


def fill(channel: BlockingChannel) -> None:
    channel.confirm_delivery()
    publish = channel.basic_publish
    channel.queue_declare("kept", durable=True)
    for number in range(100):
        publish("", "kept", str(number).encode(), PERSISTENT)
    channel.queue_declare("properties", durable=True)
    publish("", "properties", b"m", pika.BasicProperties(**PROPERTIES))
    channel.queue_declare("large", durable=True)
    publish("", "large", bytes(range(256)) * 20_000, PERSISTENT)
    channel.queue_declare("mixed", durable=True)
    for number in range(10):
        publish("", "mixed", str(number).encode(), pika.BasicProperties(delivery_mode=1 + number % 2))
    channel.queue_declare("transient")
    channel.exchange_declare("x.transient", "direct")
    channel.exchange_declare("x.kept", "topic", durable=True, arguments={"alternate-exchange": "x.alternate"})
    channel.exchange_declare("x.alternate", "fanout", durable=True)
    channel.exchange_declare("x.inner", "headers", durable=True)
    channel.exchange_bind("x.inner", "x.kept", "a.#")
    channel.queue_declare("bound", durable=True)
    channel.queue_bind("bound", "x.inner", "", {"x-match": "all", "h": 1})
    channel.queue_declare("spilled", durable=True)
    channel.queue_bind("spilled", "x.alternate")
    channel.queue_declare("limited", durable=True, arguments={"x-max-length": 3, "x-max-priority": 5})
    for number in range(3):
        publish("", "limited", str(number).encode(), pika.BasicProperties(delivery_mode=2, priority=number))
    channel.queue_declare("graves", durable=True)
    arguments = {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "graves"}
    channel.queue_declare("mortal", durable=True, arguments=arguments)
    publish("", "mortal", b"dies while the server is away", PERSISTENT)
    channel.queue_declare("acked", durable=True)
    for number in range(10):
        publish("", "acked", str(number).encode(), PERSISTENT)
    for number in range(10):
        method, _, _ = channel.basic_get("acked")
        assert method is not None
        if number % 3 == 0:
            channel.basic_ack(method.delivery_tag)
    if peer_name() == "hubbub":
        channel.exchange_declare("x.delayed", "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
        channel.queue_declare("delayed", durable=True)
        channel.queue_bind("delayed", "x.delayed", "k")
        for delay in (3000, 1500):
            properties = pika.BasicProperties(delivery_mode=2, headers={"x-delay": delay})
            publish("x.delayed", "k", str(delay).encode(), properties)
    channel.queue_declare("poisoned", durable=True, arguments={"x-delivery-limit": 2, "x-queue-type": "quorum"})
    publish("", "poisoned", b"poison", PERSISTENT)
    for _ in range(2):
        method, _, _ = channel.basic_get("poisoned")
        assert method is not None
        channel.basic_nack(method.delivery_tag)
    publish("", "kept", b"last", PERSISTENT)  # its confirm says that the acks before it are committed


@pytest.fixture(scope="module")
def restarted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = make_server(tmp_path_factory.mktemp("restart") / "server")
    try:
        server.start()
        connection = connect(server.url)
        fill(connection.channel())
        server.kill()
        server.start()
        yield server
        assert server.stop() == 0
        server.assert_clean()
    finally:
        server.kill()


@pytest.fixture
def connection(restarted: Server) -> Iterator[BlockingConnection]:
    connected = connect(restarted.url)
    yield connected
    if connected.is_open:
        connected.close()


@pytest.fixture
def channel(connection: BlockingConnection) -> BlockingChannel:
    return connection.channel()


def test_persistent_messages_are_there_in_order(channel: BlockingChannel) -> None:
    """Accepted means present."""
    assert bodies(channel, "kept") == [str(number).encode() for number in range(100)] + [b"last"]


def test_properties_are_as_they_were(channel: BlockingChannel) -> None:
    """Raw properties are stored as they came."""
    delivery = get(channel, "properties")
    assert delivery is not None
    assert {name: getattr(delivery.properties, name) for name in PROPERTIES} == PROPERTIES


def test_a_delivery_limit_counts_on_from_where_it_was(channel: BlockingChannel) -> None:
    """As in RabbitMQ's quorum queues: the message came back twice before the kill; the third time is one too many."""
    delivery = get(channel, "poisoned", auto_ack=False)
    assert delivery is not None
    assert (delivery.properties.headers or {}).get("x-delivery-count") == 2
    channel.basic_nack(delivery.method.delivery_tag)
    assert bodies(channel, "poisoned") == []


def test_a_large_body_is_as_it_was(channel: BlockingChannel) -> None:
    """5 MB: larger than a frame, and perhaps than a segment."""
    delivery = get(channel, "large")
    assert delivery is not None
    assert delivery.body == bytes(range(256)) * 20_000


def test_transient_messages_are_gone(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §3.1.2: only persistent messages in durable queues survive."""
    assert bodies(channel, "mixed") == [b"1", b"3", b"5", b"7", b"9"]


def test_transient_queues_are_gone(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.7.2.1 durable."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.queue_declare("transient", passive=True)
    assert closed.value.reply_code == 404


def test_transient_exchanges_are_gone(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.6.2.1 durable."""
    with pytest.raises(pika.exceptions.ChannelClosedByBroker) as closed:
        channel.exchange_declare("x.transient", passive=True)
    assert closed.value.reply_code == 404


def test_exchanges_and_bindings_route_as_before(channel: BlockingChannel) -> None:
    """Exchange-to-exchange binding, headers arguments, alternate exchange."""
    channel.basic_publish("x.kept", "a.b", b"through", pika.BasicProperties(headers={"h": 1}))
    channel.basic_publish("x.kept", "z", b"spilled")
    assert get_soon(channel, "bound").body == b"through"
    assert get_soon(channel, "spilled").body == b"spilled"


def test_arguments_count_as_before(channel: BlockingChannel) -> None:
    """Length limit and priorities of a restored queue."""
    channel.queue_declare("limited", durable=True, arguments={"x-max-length": 3, "x-max-priority": 5})
    assert bodies(channel, "limited") == [b"2", b"1", b"0"]
    for number in range(5):
        channel.basic_publish("", "limited", str(number).encode())
    assert bodies(channel, "limited") == [b"2", b"3", b"4"]


def test_a_ttl_goes_on_over_the_restart(channel: BlockingChannel) -> None:
    """What expired meanwhile is dead-lettered."""
    assert get_soon(channel, "graves").body == b"dies while the server is away"


@pytest.mark.hubbub_only
def test_acknowledged_messages_stay_gone_and_the_others_are_marked_redelivered(channel: BlockingChannel) -> None:
    """A later confirm on the same channel made the acks certain; RabbitMQ promises neither after kill -9."""
    found = []
    while (delivery := get(channel, "acked")) is not None:
        found.append((delivery.body, delivery.method.redelivered))
    assert found == [(str(number).encode(), True) for number in range(10) if number % 3]


@pytest.mark.hubbub_only
def test_delayed_messages_still_come(channel: BlockingChannel) -> None:
    """The index of due times is on disk; by due time, not by order of arrival."""
    assert [get_soon(channel, "delayed").body for _ in range(2)] == [b"1500", b"3000"]
