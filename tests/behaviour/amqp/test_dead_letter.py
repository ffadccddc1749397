"""Dead-lettering: RabbitMQ's guide, and its x-death headers."""

from __future__ import annotations

import datetime
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.pika_client import Delivery, Inbox, Scratch, bodies, depth, get_soon, settle_down, wait_depth


class Grave:
    """A queue with a dead-letter exchange, and the queue where its dead arrive."""

    def __init__(self, channel: BlockingChannel, scratch: Scratch, arguments: dict[str, Any] | None = None) -> None:
        self.channel = channel
        self.exchange = scratch.exchange(channel, "fanout")
        self.dead = scratch.bound_queue(channel, self.exchange)
        self.queue = scratch.queue(channel, {"x-dead-letter-exchange": self.exchange, **(arguments or {})})

    def publish(self, body: bytes = b"m", **properties: Any) -> None:
        self.channel.basic_publish("", self.queue, body, pika.BasicProperties(**properties))

    def reject(self) -> None:
        method, _, _ = self.channel.basic_get(self.queue)
        assert method is not None
        self.channel.basic_reject(method.delivery_tag, requeue=False)

    def exhume(self) -> Delivery:
        return get_soon(self.channel, self.dead)


def deaths(delivery: Delivery) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = delivery.properties.headers["x-death"]
    return found


@pytest.mark.parametrize("settle", ["reject", "nack"])
def test_rejected_without_requeue_is_dead_lettered(channel: BlockingChannel, scratch: Scratch, settle: str) -> None:
    """RabbitMQ: reason rejected."""
    grave = Grave(channel, scratch)
    grave.publish(b"m", content_type="text/plain", message_id="id-1", headers={"mine": 1})
    method, _, _ = channel.basic_get(grave.queue)
    if settle == "reject":
        channel.basic_reject(method.delivery_tag, requeue=False)
    else:
        channel.basic_nack(method.delivery_tag, requeue=False)
    dead = grave.exhume()
    assert dead.body == b"m"
    assert (dead.properties.content_type, dead.properties.message_id) == ("text/plain", "id-1")
    assert dead.properties.headers["mine"] == 1
    assert deaths(dead)[0]["reason"] == "rejected"


def test_expired_is_dead_lettered(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: reason expired, by the queue's TTL."""
    grave = Grave(channel, scratch, {"x-message-ttl": 50})
    grave.publish()
    assert deaths(grave.exhume())[0]["reason"] == "expired"


def test_an_expired_message_loses_its_expiration_and_its_death_keeps_it(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """RabbitMQ: the property is removed so that it does not expire again; x-death has original-expiration."""
    grave = Grave(channel, scratch)
    grave.publish(expiration="50")
    dead = grave.exhume()
    assert dead.properties.expiration is None
    assert deaths(dead)[0]["original-expiration"] == "50"


def test_dropped_by_length_is_dead_lettered(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: reason maxlen, for the head."""
    grave = Grave(channel, scratch, {"x-max-length": 1})
    grave.publish(b"1")
    grave.publish(b"2")
    dead = grave.exhume()
    assert (dead.body, deaths(dead)[0]["reason"]) == (b"1", "maxlen")
    assert bodies(channel, grave.queue) == [b"2"]


def test_a_rejected_message_with_requeue_is_not_dead_lettered(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ."""
    grave = Grave(channel, scratch)
    grave.publish()
    method, _, _ = channel.basic_get(grave.queue)
    channel.basic_reject(method.delivery_tag, requeue=True)
    wait_depth(channel, grave.queue, 1)
    assert depth(channel, grave.dead) == 0


@pytest.mark.parametrize("end", ["purge", "delete"])
def test_purged_and_deleted_messages_are_not_dead_lettered(
    channel: BlockingChannel, scratch: Scratch, end: str
) -> None:
    """RabbitMQ."""
    grave = Grave(channel, scratch)
    grave.publish()
    if end == "purge":
        channel.queue_purge(grave.queue)
    else:
        channel.queue_delete(grave.queue)
    settle_down(channel)
    assert depth(channel, grave.dead) == 0


def test_x_death_tells_the_whole_story(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: count, exchange, queue, reason, routing-keys, time."""
    grave = Grave(channel, scratch)
    source = scratch.exchange(channel, "direct")
    channel.queue_bind(grave.queue, source, "the.key")
    channel.basic_publish(source, "the.key", b"m")
    grave.reject()
    dead = grave.exhume()
    (death,) = deaths(dead)
    assert isinstance(death.pop("time"), datetime.datetime)
    assert death == {
        "count": 1,
        "exchange": source,
        "queue": grave.queue,
        "reason": "rejected",
        "routing-keys": ["the.key"],
    }


def test_x_first_death_headers_are_set(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-first-death-exchange, -queue, -reason."""
    grave = Grave(channel, scratch)
    grave.publish()
    grave.reject()
    headers = grave.exhume().properties.headers
    assert headers["x-first-death-exchange"] == ""
    assert headers["x-first-death-queue"] == grave.queue
    assert headers["x-first-death-reason"] == "rejected"


def two_stages(channel: BlockingChannel, scratch: Scratch) -> tuple[Delivery, str, str]:
    """A message that was rejected in one queue and expired in the next."""
    end = scratch.queue(channel)
    second = scratch.queue(
        channel, {"x-message-ttl": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": end}
    )
    first = scratch.queue(channel, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": second})
    channel.basic_publish("", first, b"m")
    method, _, _ = channel.basic_get(first)
    channel.basic_reject(method.delivery_tag, requeue=False)
    return get_soon(channel, end), first, second


def test_x_death_has_the_most_recent_death_first(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: and x-first-death-* keep the first."""
    dead, first, second = two_stages(channel, scratch)
    assert [(death["queue"], death["reason"]) for death in deaths(dead)] == [(second, "expired"), (first, "rejected")]
    assert dead.properties.headers["x-first-death-queue"] == first
    assert dead.properties.headers["x-first-death-reason"] == "rejected"


@pytest.mark.hubbub_only
def test_x_last_death_headers_follow_the_latest(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ 3.13: x-last-death-exchange, -queue, -reason."""
    dead, _, second = two_stages(channel, scratch)
    headers = dead.properties.headers
    assert headers["x-last-death-exchange"] == ""
    assert headers["x-last-death-queue"] == second
    assert headers["x-last-death-reason"] == "expired"


def test_equal_deaths_are_counted(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: one x-death entry per queue and reason, with a count; retry loops depend on it."""
    grave = Grave(channel, scratch)
    grave.publish()
    for expected in (1, 2, 3):
        grave.reject()
        dead = grave.exhume()
        (death,) = deaths(dead)
        assert death["count"] == expected
        channel.basic_publish("", grave.queue, dead.body, dead.properties)


def test_the_routing_key_stays_unless_the_queue_says_otherwise(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-dead-letter-routing-key."""
    exchange = scratch.exchange(channel, "topic")
    end = scratch.bound_queue(channel, exchange, "#")
    for arguments, expected in (({}, None), ({"x-dead-letter-routing-key": "other.key"}, "other.key")):
        queue = scratch.queue(channel, {"x-dead-letter-exchange": exchange, **arguments})
        channel.basic_publish("", queue, b"")
        method, _, _ = channel.basic_get(queue)
        channel.basic_reject(method.delivery_tag, requeue=False)
        dead = get_soon(channel, end)
        assert (dead.method.exchange, dead.method.routing_key) == (exchange, expected or queue)


def test_an_absent_dead_letter_exchange_drops_quietly(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the DLX need not exist; its messages are dropped then."""
    queue = scratch.queue(channel, {"x-dead-letter-exchange": "absent"})
    channel.basic_publish("", queue, b"")
    method, _, _ = channel.basic_get(queue)
    channel.basic_reject(method.delivery_tag, requeue=False)
    channel.basic_qos()
    assert depth(channel, queue) == 0


def test_a_cycle_of_expiries_ends(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: a message that comes to the same queue again, without a rejection in the whole cycle, is dropped."""
    queue = scratch.name("q")
    arguments = {"x-message-ttl": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}
    channel.queue_declare(queue, arguments=arguments)
    channel.basic_publish("", queue, b"round")
    settle_down(channel, 0.15)
    assert depth(channel, queue) == 0


def test_a_cycle_with_a_rejection_goes_on(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the usual retry pattern: work queue -> rejected -> waiting queue -> expired -> work queue."""
    work, waiting = scratch.name("q"), scratch.name("q")
    channel.queue_declare(work, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": waiting})
    channel.queue_declare(
        waiting, arguments={"x-message-ttl": 20, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": work}
    )
    channel.basic_publish("", work, b"retry")
    for attempt in range(4):
        delivery = get_soon(channel, work, auto_ack=False)
        counts = {death["queue"]: death["count"] for death in (delivery.properties.headers or {}).get("x-death", [])}
        assert counts == ({} if attempt == 0 else {work: attempt, waiting: attempt})
        channel.basic_reject(delivery.method.delivery_tag, requeue=False)


def test_a_queue_may_be_its_own_dead_letter_target_for_rejections(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: rejections are somebody's decision, so they may cycle."""
    queue = scratch.name("q")
    channel.queue_declare(queue, arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue})
    channel.basic_publish("", queue, b"again")
    for _ in range(3):
        delivery = get_soon(channel, queue, auto_ack=False)
        channel.basic_reject(delivery.method.delivery_tag, requeue=False)
    assert deaths(get_soon(channel, queue))[0]["count"] == 3


def test_cc_is_removed_and_remembered_when_the_routing_key_is_replaced(
    channel: BlockingChannel, scratch: Scratch
) -> None:
    """RabbitMQ: with x-dead-letter-routing-key the CC header goes; x-death's routing-keys have all keys."""
    end = scratch.queue(channel)
    queue = scratch.queue(channel, {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": end})
    other = scratch.queue(channel)
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers={"CC": [other]}))
    method, _, _ = channel.basic_get(queue)
    channel.basic_reject(method.delivery_tag, requeue=False)
    dead = get_soon(channel, end)
    assert "CC" not in dead.properties.headers
    assert deaths(dead)[0]["routing-keys"] == [queue, other]
    assert len(bodies(channel, other)) == 1


def test_nack_multiple_dead_letters_all_of_them_in_order(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: basic.nack multiple."""
    grave = Grave(channel, scratch)
    for number in range(5):
        grave.publish(str(number).encode())
    inbox = Inbox(channel, grave.queue)
    last = inbox.wait(5)[-1]
    channel.basic_nack(last.method.delivery_tag, multiple=True, requeue=False)
    wait_depth(channel, grave.dead, 5)
    assert bodies(channel, grave.dead) == [b"0", b"1", b"2", b"3", b"4"]


def test_an_expired_messages_successors_live_on(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: many expire together, in order."""
    grave = Grave(channel, scratch)
    for number in range(20):
        grave.publish(str(number).encode(), expiration="60")
    grave.publish(b"stays")
    wait_depth(channel, grave.dead, 20)
    assert bodies(channel, grave.dead) == [str(number).encode() for number in range(20)]
    assert bodies(channel, grave.queue) == [b"stays"]
