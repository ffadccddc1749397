"""What was found once: each conversation here broke the broker, and now is answered, refused, or has no effect."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.fuzz.conversations import method
from tests.support import amqp_codec as codec
from tests.support.amqp_codec import Fields, TypedValue
from tests.support.in_process import Client, InProcess, Said, watched

NOT_UTF_8 = TypedValue(b"S", b"\0\0\0\x01\xff")
LARGEST = TypedValue(b"l", b"\x7f" + b"\xff" * 7)
LARGEST_TIMESTAMP = TypedValue(b"T", b"\xff" * 8)


@pytest.fixture
def inside() -> Iterator[InProcess]:
    """A broker that must not log an error, and account for everything when its clients are gone."""
    broker = InProcess()
    with watched():
        yield broker
        for connection in list(broker.endpoint.connections):
            connection.output.abort()
            connection.lost("closed by peer")
        broker.commit()
        broker.check_account()
    broker.close()


@pytest.fixture
def client(inside: InProcess) -> Client:
    """With channel 1 open."""
    connected = inside.connect()
    connected.hear(method(1, "channel.open"))
    connected.talk()
    return connected


def publish(queue: str, body: bytes = b"x", properties: Fields | None = None, exchange: str = "") -> bytes:
    return (
        method(1, "basic.publish", exchange=exchange, routing_key=queue)
        + codec.encode_frame(codec.FRAME_HEADER, 1, codec.encode_header(len(body), properties))
        + (codec.encode_frame(codec.FRAME_BODY, 1, body) if body else b"")
    )


def say(client: Client, *frames: bytes) -> list[Said]:
    for each in frames:
        client.hear(each)
    client.inside.commit()
    return client.talk()


def codes(said: list[Said]) -> list[int]:
    return [each.content["reply_code"] for each in said if each.name.endswith(".close")]


def ready(client: Client, queue: str) -> int:
    found: int = client.inside.broker.vhosts["/"].queues[queue].ready_count
    return found


def test_requeueing_with_holes_while_a_dead_letter_comes_back_to_the_channel(client: Client) -> None:
    """The ring of unacked deliveries moved while it was walked: memory that was never written was followed."""
    arguments = {"x-delivery-limit": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    say(
        client,
        method(1, "queue.declare", queue="q", arguments=arguments),
        method(1, "queue.declare", queue="dead"),
        method(1, "basic.consume", queue="dead", consumer_tag="t"),
        *(publish("q", b"%d" % number) for number in range(1, 17)),
        method(1, "basic.get", queue="q") * 16,
        *(method(1, "basic.ack", delivery_tag=tag) for tag in range(2, 10)),
    )
    said = say(client, method(1, "basic.nack", delivery_tag=16, multiple=True, requeue=True))
    assert [each.content for each in said if each.name == "body"] == [
        b"%d" % number for number in (16, 15, 14, 13, 12, 11, 10, 1)
    ]
    # What came meanwhile is above the tag, and still to be acknowledged.
    assert say(client, method(1, "basic.ack", delivery_tag=24, multiple=True)) == []


@pytest.mark.parametrize("limit", [2**16, 2**32, 2**40, 2**63 - 1])
def test_a_delivery_limit_beyond_its_counter_is_no_limit(client: Client, limit: int) -> None:
    said = say(client, method(1, "queue.declare", queue="q", arguments={"x-delivery-limit": limit}))
    assert [each.name for each in said] == ["queue.declare-ok"]
    say(
        client, publish("q"), method(1, "basic.get", queue="q"), method(1, "basic.reject", delivery_tag=1, requeue=True)
    )
    assert ready(client, "q") == 1


def test_an_alternate_exchange_whose_name_is_not_text(client: Client) -> None:
    arguments = {"alternate-exchange": NOT_UTF_8}
    said = say(
        client,
        method(1, "exchange.declare", exchange="e", type="direct", arguments=arguments),
        publish("k", exchange="e"),
    )
    assert [each.name for each in said] == ["exchange.declare-ok"]


@pytest.mark.parametrize("size", [256, 300, 70_000])
def test_a_dead_letter_routing_key_that_fits_into_no_frame_is_refused(client: Client, size: int) -> None:
    """It wrote broken frames to who consumed the dead letters, and beyond 65,535 bytes ended others' channels."""
    arguments = {"x-dead-letter-exchange": "amq.fanout", "x-dead-letter-routing-key": "k" * size}
    assert codes(say(client, method(1, "queue.declare", queue="q", arguments=arguments))) == [406]


@pytest.mark.parametrize("delay", ["+-5", "--5", "-", "", "²", "9" * 30, " 7 "])
def test_a_delay_that_is_hardly_a_number(client: Client, delay: str) -> None:
    arguments = {"x-delayed-type": "fanout"}
    say(
        client,
        method(1, "exchange.declare", exchange="later", type="x-delayed-message", arguments=arguments),
        method(1, "queue.declare", queue="q"),
        method(1, "queue.bind", queue="q", exchange="later"),
        publish("", properties={"headers": {"x-delay": delay}}, exchange="later"),
    )
    client.inside.pass_ms(100)
    assert ready(client, "q") == 1


@pytest.mark.parametrize("count", [LARGEST, LARGEST_TIMESTAMP], ids=["largest", "timestamp"])
@pytest.mark.parametrize("reason", ["rejected", "expired", "maxlen"])
def test_a_forged_history_of_deaths_does_not_keep_a_message_from_dying(
    client: Client, count: TypedValue, reason: str
) -> None:
    """The count could not be encoded any more: the message was nowhere, and the wrong one heard of it."""
    arguments = {"x-dead-letter-exchange": "amq.fanout", "x-message-ttl": 50}
    deaths = [{"queue": "q", "reason": reason, "count": count}]
    say(
        client,
        method(1, "queue.declare", queue="q", arguments=arguments),
        method(1, "queue.declare", queue="dead"),
        method(1, "queue.bind", queue="dead", exchange="amq.fanout"),
        publish("q", properties={"headers": {"x-death": deaths}}),
        publish("q", properties={"headers": {"x-death": deaths}}),
        method(1, "basic.get", queue="q"),
        method(1, "basic.reject", delivery_tag=1),
    )
    client.inside.pass_ms(60)
    assert client.connection.state == 5, "running"
    assert (ready(client, "q"), ready(client, "dead")) == (0, 2)


def test_a_dead_letter_that_cannot_be_routed_does_not_stop_expiry(client: Client) -> None:
    """A carbon copy key of more words than a topic may have; the queue's timer was not set again after it."""
    arguments = {"x-dead-letter-exchange": "amq.topic", "x-message-ttl": 50}
    say(
        client,
        method(1, "queue.declare", queue="q", arguments=arguments),
        method(1, "queue.declare", queue="dead"),
        method(1, "queue.bind", queue="dead", exchange="amq.topic", routing_key="#"),
        publish("q", properties={"headers": {"CC": ["." * 300]}}),
    )
    client.inside.pass_ms(60)
    say(client, publish("q"))
    client.inside.pass_ms(60)
    assert (ready(client, "q"), ready(client, "dead")) == (0, 1)


def test_a_chain_of_auto_delete_exchanges_falls_without_recursion(client: Client) -> None:
    names = [f"e{number}" for number in range(1000)]
    fields = {"type": "fanout", "auto_delete": True, "no_wait": True}
    say(client, *(method(1, "exchange.declare", exchange=name, **fields) for name in names))
    pairs = itertools.pairwise(names)
    say(client, *(method(1, "exchange.bind", source=one, destination=other, no_wait=True) for one, other in pairs))
    say(client, method(1, "queue.declare", queue="q"), method(1, "queue.bind", queue="q", exchange=names[-1]))
    assert [each.name for each in say(client, method(1, "queue.delete", queue="q"))] == ["queue.delete-ok"]
    assert not [name for name in client.inside.broker.vhosts["/"].exchanges if name.startswith("e")]


def test_a_close_whose_arguments_are_broken_ends_a_closing_connection(client: Client) -> None:
    said = say(client, method(0, "basic.qos"), codec.encode_frame(codec.FRAME_METHOD, 0, b"\0\x0a\0\x32\0"))
    assert codes(said) == [504]
    assert client.is_over


def test_the_size_limit_holds_for_a_message_that_comes_in_one_piece() -> None:
    inside = InProcess(message_bytes_max=100)
    with watched():
        client = inside.connect()
        opened = say(client, method(1, "channel.open"), method(1, "queue.declare", queue="q"), publish("q", b"x" * 100))
        assert codes(opened) == []
        assert codes(say(client, publish("q", b"x" * 101))) == [406]
        assert ready(client, "q") == 1
        client.lose()
    inside.close()


def test_exclusive_queues_that_are_gone_are_forgotten(client: Client) -> None:
    declare = method(1, "queue.declare", queue="q", exclusive=True, no_wait=True)
    say(client, *[declare + method(1, "queue.delete", queue="q", no_wait=True)] * 1000)
    assert sum(len(owned) for owned in client.inside.endpoint.exclusive_queues.values()) < 100
