"""What each exchange type routes where: AMQP 0-9-1 §3.1.3, and RabbitMQ's additional types."""

from __future__ import annotations

import collections
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.pika_client import Scratch, bodies, closes_channel, get_soon, settle_down, wait_depth


def with_headers(headers: dict[str, Any]) -> pika.BasicProperties:
    return pika.BasicProperties(headers=headers)


def test_the_default_exchange_routes_by_queue_name(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §3.1.3.1: every queue is bound to it by its name."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"here")
    assert bodies(channel, queue) == [b"here"]


def test_direct_routes_by_equal_key(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §3.1.3.1."""
    exchange = scratch.exchange(channel, "direct")
    red, blue = (scratch.bound_queue(channel, exchange, key) for key in ("red", "blue"))
    channel.basic_publish(exchange, "red", b"1")
    channel.basic_publish(exchange, "red.dark", b"2")
    channel.basic_publish(exchange, "", b"3")
    assert (bodies(channel, red), bodies(channel, blue)) == ([b"1"], [])


def test_one_direct_key_may_reach_many_queues(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §3.1.3.1."""
    exchange = scratch.exchange(channel, "direct")
    queues = [scratch.bound_queue(channel, exchange, "k") for _ in range(3)]
    channel.basic_publish(exchange, "k", b"all")
    assert [bodies(channel, queue) for queue in queues] == [[b"all"]] * 3


def test_a_queue_bound_twice_gets_a_message_once(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: a message is enqueued once however many bindings match."""
    exchange = scratch.exchange(channel, "topic")
    queue = scratch.bound_queue(channel, exchange, "a.*")
    channel.queue_bind(queue, exchange, "#")
    channel.basic_publish(exchange, "a.b", b"once")
    assert bodies(channel, queue) == [b"once"]


def test_fanout_ignores_the_routing_key(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §3.1.3.2."""
    exchange = scratch.exchange(channel, "fanout")
    queues = [scratch.bound_queue(channel, exchange, key) for key in ("", "a", "b")]
    channel.basic_publish(exchange, "whatever", b"all")
    assert [bodies(channel, queue) for queue in queues] == [[b"all"]] * 3


TOPICS = [
    ("a.b.c", "a.b.c", True),
    ("a.b.c", "a.b", False),
    ("a.b", "a.b.c", False),
    ("*", "a", True),
    ("*", "a.b", False),
    ("*", "", False),  # the empty key has no word at all
    ("#.*", "", False),
    ("*.*", "a.", True),  # but a trailing dot makes an empty one
    ("#", "", True),
    ("#", "a.b.c.d", True),
    ("", "", True),
    ("", "a", False),
    ("a.*", "a.b", True),
    ("a.*", "a", False),
    ("a.*", "a.b.c", False),
    ("a.#", "a", True),
    ("a.#", "a.b.c", True),
    ("a.#", "ab", False),
    ("#.c", "c", True),
    ("#.c", "a.b.c", True),
    ("#.c", "a.c.b", False),
    ("*.b.*", "a.b.c", True),
    ("*.b.*", "a.b", False),
    ("a.#.d", "a.d", True),
    ("a.#.d", "a.b.c.d", True),
    ("a.#.d", "a.b.c.e", False),
    ("#.#", "", True),
    ("#.*", "a", True),
    ("*.#", "a.b.c", True),
    ("a.#.b.#.c", "a.x.b.y.z.c", True),
    ("a.#.b.#.c", "a.b.b.c", True),
    ("a.*b", "a.xb", False),  # a wildcard is a whole word
    ("a.b*", "a.b*", True),
    ("a..c", "a..c", True),  # an empty word is a word
    ("a.*.c", "a..c", True),
    ("é.*", "é.ü", True),
    ("A.b", "a.b", False),
    ("*.*", ".", True),
]


@pytest.mark.parametrize(("binding_key", "routing_key", "matches"), TOPICS)
def test_topic(channel: BlockingChannel, scratch: Scratch, binding_key: str, routing_key: str, matches: bool) -> None:
    """AMQP 0-9-1 §3.1.3.3: `*` is one word, `#` none or more."""
    exchange = scratch.exchange(channel, "topic")
    queue = scratch.bound_queue(channel, exchange, binding_key)
    channel.basic_publish(exchange, routing_key, b"m")
    assert bodies(channel, queue) == ([b"m"] if matches else [])


HEADERS: list[tuple[dict[str, Any], dict[str, Any] | None, bool]] = [
    ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 2}, True),
    ({"x-match": "all", "a": 1, "b": "x"}, {"a": 1}, False),
    ({"x-match": "all", "a": 1}, {"a": 2}, False),
    ({"a": 1, "b": 2}, {"a": 1}, False),  # all is the default
    ({"a": 1, "b": 2}, {"a": 1, "b": 2}, True),
    ({"x-match": "any", "a": 1, "b": "x"}, {"b": "x"}, True),
    ({"x-match": "any", "a": 1, "b": "x"}, {"a": 2, "b": "y"}, False),
    ({"x-match": "any", "a": 1}, None, False),
    ({"x-match": "all"}, None, True),  # nothing is asked for
    ({"x-match": "any"}, {"a": 1}, False),
    ({"x-match": "all", "x-a": 1}, {}, True),  # headers that begin with x- do not count
    ({"x-match": "any", "x-a": 1}, {"x-a": 1}, False),
    ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 1}, True),
    ({"x-match": "all-with-x", "x-a": 1}, {"x-a": 2}, False),
    ({"x-match": "any-with-x", "x-a": 1, "b": 2}, {"x-a": 1}, True),
    ({"x-match": "any-with-x", "x-a": 1, "b": 2}, {"c": 1}, False),
    ({"x-match": "all", "a": None}, {"a": "anything"}, True),  # a void value asks for presence only
    ({"x-match": "all", "a": None}, {"b": 1}, False),
    ({"x-match": "any", "a": None, "b": 1}, {"a": 7}, True),
    ({"x-match": "all", "a": "1"}, {"a": 1}, False),  # types count
    ({"x-match": "all", "a": True}, {"a": True}, True),
    ({"x-match": "all", "a": True}, {"a": 1}, False),
    ({"x-match": "all", "a": 1 << 40}, {"a": 1 << 40}, True),
    ({"x-match": "all", "a": {"b": [1, "x"]}}, {"a": {"b": [1, "x"]}}, True),
]


@pytest.mark.parametrize(("arguments", "headers", "matches"), HEADERS)
def test_headers(
    channel: BlockingChannel,
    scratch: Scratch,
    arguments: dict[str, Any],
    headers: dict[str, Any] | None,
    matches: bool,
) -> None:
    """AMQP 0-9-1 §3.1.3.4; RabbitMQ 3.10: all-with-x and any-with-x."""
    exchange = scratch.exchange(channel, "headers")
    queue = scratch.bound_queue(channel, exchange, "ignored", arguments)
    channel.basic_publish(exchange, "", b"m", None if headers is None else with_headers(headers))
    assert bodies(channel, queue) == ([b"m"] if matches else [])


@pytest.mark.parametrize(
    ("x_match", "text"),
    [
        ("some", '<<"some">>; expected all, any, all-with-x, or any-with-x'),
        (5, "type signedint (value 5); expected longstr"),
    ],
)
def test_an_unknown_x_match_is_refused(channel: BlockingChannel, scratch: Scratch, x_match: Any, text: str) -> None:
    """RabbitMQ: 406, channel."""
    exchange = scratch.exchange(channel, "headers")
    queue = scratch.queue(channel)
    with closes_channel(channel, 406) as refusal:
        channel.queue_bind(queue, exchange, "", {"x-match": x_match})
    assert refusal.text.startswith("PRECONDITION_FAILED - ")
    assert "x-match" in refusal.text


def test_consistent_hash_sends_each_message_to_one_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """rabbitmq-consistent-hash-exchange: the binding key is a weight."""
    exchange = scratch.exchange(channel, "x-consistent-hash")
    queues = [scratch.bound_queue(channel, exchange, "10") for _ in range(3)]
    for number in range(300):
        channel.basic_publish(exchange, f"key-{number}", str(number).encode())
    shares = [bodies(channel, queue) for queue in queues]
    assert sorted(int(body) for share in shares for body in share) == list(range(300))
    assert min(len(share) for share in shares) >= 30


def test_consistent_hash_sends_equal_keys_to_the_same_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """rabbitmq-consistent-hash-exchange: the hash is over the routing key."""
    exchange = scratch.exchange(channel, "x-consistent-hash")
    queues = [scratch.bound_queue(channel, exchange, "1") for _ in range(3)]
    for _ in range(10):
        for key in ("alpha", "beta", "gamma", "delta"):
            channel.basic_publish(exchange, key, key.encode())
    counts = [collections.Counter(bodies(channel, queue)) for queue in queues]
    assert all(count == 10 for share in counts for count in share.values())
    assert sum(len(share) for share in counts) == 4


def test_consistent_hash_weights_shift_the_shares(channel: BlockingChannel, scratch: Scratch) -> None:
    """rabbitmq-consistent-hash-exchange: twice the weight, about twice the keys."""
    exchange = scratch.exchange(channel, "x-consistent-hash")
    light, heavy = scratch.bound_queue(channel, exchange, "5"), scratch.bound_queue(channel, exchange, "45")
    for number in range(500):
        channel.basic_publish(exchange, f"key-{number}", b"")
    assert len(bodies(channel, light)) * 2 < len(bodies(channel, heavy))


@pytest.mark.parametrize(
    ("arguments", "vary"),
    [
        ({"hash-header": "shard"}, lambda key: with_headers({"shard": key})),
        ({"hash-property": "message_id"}, lambda key: pika.BasicProperties(message_id=key)),
        ({"hash-property": "correlation_id"}, lambda key: pika.BasicProperties(correlation_id=key)),
    ],
    ids=["header", "message_id", "correlation_id"],
)
def test_consistent_hash_over_a_header_or_property(
    channel: BlockingChannel, scratch: Scratch, arguments: dict[str, Any], vary: Any
) -> None:
    """rabbitmq-consistent-hash-exchange: hash-header, hash-property."""
    exchange = scratch.exchange(channel, "x-consistent-hash", arguments)
    queues = [scratch.bound_queue(channel, exchange, "10") for _ in range(2)]
    for number in range(100):
        for routing_key in ("one", "two"):
            channel.basic_publish(exchange, routing_key, str(number).encode(), vary(str(number)))
    counts = [collections.Counter(bodies(channel, queue)) for queue in queues]
    assert all(count == 2 for share in counts for count in share.values())
    assert min(len(share) for share in counts) >= 10


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ("abc", 'The binding key must be an integer: <<"abc">>'),
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
    ],
)
def test_consistent_hash_refuses_a_weight_that_is_none(
    channel: BlockingChannel, scratch: Scratch, weight: str, text: str
) -> None:
    """rabbitmq-consistent-hash-exchange: 406, channel."""
    exchange = scratch.exchange(channel, "x-consistent-hash")
    queue = scratch.queue(channel)
    with closes_channel(channel, 406) as refusal:
        channel.queue_bind(queue, exchange, weight)
    assert refusal.text.startswith("PRECONDITION_FAILED - The binding key must be ")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"hash-header": "a", "hash-property": "message_id"},
            "PRECONDITION_FAILED - hash-header and hash-property are mutually exclusive",
        ),
        ({"hash-property": "colour"}, "PRECONDITION_FAILED - Unsupported property: colour"),
    ],
)
def test_consistent_hash_refuses_contradictory_arguments(
    channel: BlockingChannel, scratch: Scratch, arguments: dict[str, Any], text: str
) -> None:
    """rabbitmq-consistent-hash-exchange: 406, channel."""
    with closes_channel(channel, 406, text):
        scratch.exchange(channel, "x-consistent-hash", arguments)


# ---- x-delayed-message: a plugin in RabbitMQ, built in here


def delayed(scratch: Scratch, channel: BlockingChannel, exchange_type: str = "direct") -> str:
    return scratch.exchange(channel, "x-delayed-message", {"x-delayed-type": exchange_type})


@pytest.mark.hubbub_only
def test_delayed_message_waits_for_x_delay(channel: BlockingChannel, scratch: Scratch) -> None:
    """rabbitmq-delayed-message-exchange: x-delay in milliseconds."""
    exchange = delayed(scratch, channel)
    queue = scratch.bound_queue(channel, exchange, "k")
    channel.basic_publish(exchange, "k", b"later", with_headers({"x-delay": 300}))
    settle_down(channel, 0.1)
    assert bodies(channel, queue) == []
    assert get_soon(channel, queue, timeout_s=3).body == b"later"


@pytest.mark.hubbub_only
def test_delayed_messages_come_by_their_due_time_not_by_their_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """rabbitmq-delayed-message-exchange."""
    exchange = delayed(scratch, channel)
    queue = scratch.bound_queue(channel, exchange, "k")
    for delay in (600, 200, 400):
        channel.basic_publish(exchange, "k", str(delay).encode(), with_headers({"x-delay": delay}))
    wait_depth(channel, queue, 3)
    assert bodies(channel, queue) == [b"200", b"400", b"600"]


@pytest.mark.hubbub_only
@pytest.mark.parametrize("headers", [None, {}, {"x-delay": 0}, {"x-delay": -5}])
def test_a_message_without_a_positive_x_delay_goes_at_once(
    channel: BlockingChannel, scratch: Scratch, headers: dict[str, Any] | None
) -> None:
    """rabbitmq-delayed-message-exchange."""
    exchange = delayed(scratch, channel)
    queue = scratch.bound_queue(channel, exchange, "k")
    channel.basic_publish(exchange, "k", b"now", None if headers is None else with_headers(headers))
    assert bodies(channel, queue) == [b"now"]


@pytest.mark.hubbub_only
def test_a_delayed_message_is_routed_as_its_x_delayed_type_says(channel: BlockingChannel, scratch: Scratch) -> None:
    """rabbitmq-delayed-message-exchange: here as a topic exchange."""
    exchange = delayed(scratch, channel, "topic")
    matching = scratch.bound_queue(channel, exchange, "a.*")
    other = scratch.bound_queue(channel, exchange, "b.*")
    channel.basic_publish(exchange, "a.x", b"m", with_headers({"x-delay": 50}))
    assert get_soon(channel, matching, timeout_s=3).body == b"m"
    assert bodies(channel, other) == []


@pytest.mark.hubbub_only
def test_a_delayed_message_is_confirmed_when_it_is_accepted_not_when_it_is_due(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """Acceptance is when the broker has it, and it has it now."""
    exchange = delayed(scratch, channel)
    scratch.bound_queue(channel, exchange, "k")
    channel.confirm_delivery()
    channel.basic_publish(exchange, "k", b"m", with_headers({"x-delay": 3_600_000}))  # returns when confirmed


@pytest.mark.hubbub_only
@pytest.mark.parametrize("arguments", [None, {}, {"x-delayed-type": "nonsense"}, {"x-delayed-type": 5}])
def test_a_delayed_exchange_needs_a_known_x_delayed_type(
    channel: BlockingChannel, scratch: Scratch, arguments: dict[str, Any] | None
) -> None:
    """rabbitmq-delayed-message-exchange: 406, channel."""
    with closes_channel(channel, 406):
        scratch.exchange(channel, "x-delayed-message", arguments)
