"""queue.declare: names, properties, arguments and their validation, equivalence, queue types."""

from __future__ import annotations

from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.pika_client import Inbox, Scratch, bodies, closes_channel, wait_depth


def exists(scratch: Scratch, queue: str) -> bool:
    """Ask on a channel of its own: a 404 closes it. A locked queue exists."""
    connection = scratch.connect()
    try:
        connection.channel().queue_declare(queue, passive=True)
    except pika.exceptions.ChannelClosedByBroker as closed:
        if closed.reply_code not in (404, 405):
            raise
        return bool(closed.reply_code == 405)
    finally:
        connection.close()
    return True


# ---- declare


def test_declare_tells_name_and_counts(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.2."""
    queue = scratch.queue(channel)
    channel.basic_publish("", queue, b"")
    channel.basic_publish("", queue, b"")
    Inbox(channel, scratch.queue(channel))
    wait_depth(channel, queue, 2)
    told = channel.queue_declare(queue).method
    assert (told.queue, told.message_count, told.consumer_count) == (queue, 2, 0)


def test_consumer_count_counts_consumers(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.2."""
    queue = scratch.queue(channel)
    Inbox(channel, queue)
    inbox = Inbox(channel, queue)
    assert channel.queue_declare(queue).method.consumer_count == 2
    channel.basic_cancel(inbox.consumer_tag)
    assert channel.queue_declare(queue).method.consumer_count == 1


def test_message_count_leaves_out_unacknowledged_messages(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.2: messages ready."""
    queue = scratch.queue(channel)
    for _ in range(3):
        channel.basic_publish("", queue, b"")
    channel.basic_get(queue)
    wait_depth(channel, queue, 2)


def test_an_empty_name_asks_for_a_name_from_the_server(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.7.2.1; RabbitMQ: amq.gen-…"""
    names = {channel.queue_declare("", exclusive=True).method.queue for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("amq.gen-") for name in names)


def test_the_empty_name_then_means_the_channels_last_queue(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.7.2.3: "the current queue for the channel"; as routing key too when both are empty."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind("", "amq.direct")
    channel.basic_publish("amq.direct", queue, b"bound by its name")
    method, _, body = channel.basic_get("", auto_ack=True)
    assert (body, method.routing_key) == (b"bound by its name", queue)
    inbox = Inbox(channel, "")
    channel.basic_publish("", queue, b"2")
    inbox.wait(1)
    assert channel.queue_purge("").method.message_count == 0
    channel.queue_delete("")


@pytest.mark.parametrize(
    "use",
    [
        lambda channel: channel.queue_bind("", "amq.direct", "k"),
        lambda channel: channel.basic_get(""),
        lambda channel: channel.queue_purge(""),
        lambda channel: channel.queue_delete(""),
    ],
    ids=["bind", "get", "purge", "delete"],
)
def test_the_empty_name_without_a_queue_declared_is_404(channel: BlockingChannel, use: Any) -> None:
    """RabbitMQ."""
    with closes_channel(channel, 404, "NOT_FOUND - no previously declared queue"):
        use(channel)


def test_passive_declare_of_an_absent_queue_is_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.7.2.1.3."""
    with closes_channel(channel, 404, "NOT_FOUND - no queue 'absent' in vhost '/'"):
        channel.queue_declare("absent", passive=True)


def test_passive_declare_looks_at_nothing_but_the_name(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.1.3."""
    queue = scratch.queue(channel, {"x-max-length": 3}, durable=True)
    channel.queue_declare(queue, passive=True)


def test_names_with_amq_are_reserved(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.7.2.1."""
    with closes_channel(channel, 403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
        channel.queue_declare("amq.mine")


def test_a_server_named_queue_can_only_be_declared_again_passively(channel: BlockingChannel) -> None:
    """RabbitMQ: the reserved prefix is looked at before the queue is looked up."""
    queue = channel.queue_declare("", exclusive=True).method.queue
    assert channel.queue_declare(queue, passive=True).method.queue == queue
    with closes_channel(channel, 403, f"ACCESS_REFUSED - queue name '{queue}' contains reserved prefix 'amq.*'"):
        channel.queue_declare(queue, exclusive=True)


def test_a_name_of_255_octets_works(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §3.1.1: a short string; in UTF-8."""
    name = (scratch.name("é") + "ü" * 127)[:254]
    while len(name.encode()) > 255:
        name = name[:-1]
    channel.queue_declare(name, exclusive=True)
    channel.basic_publish("", name, b"m")
    assert bodies(channel, name) == [b"m"]


def test_declaring_again_equally_is_fine(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.1."""
    queue = scratch.queue(channel, {"x-message-ttl": 60_000, "x-dead-letter-exchange": "dlx"}, durable=True)
    channel.queue_declare(queue, durable=True, arguments={"x-dead-letter-exchange": "dlx", "x-message-ttl": 60_000})


def test_the_width_of_an_integer_argument_does_not_count(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ compares numbers as numbers: clients in different languages declare the same queue."""
    queue = scratch.queue(channel, {"x-message-ttl": 60_000})
    channel.queue_declare(queue, arguments={"x-message-ttl": pika.compat.long(60_000)})


@pytest.mark.parametrize("option", ["durable", "auto_delete"])
def test_declaring_again_with_another_property_is_406(channel: BlockingChannel, scratch: Scratch, option: str) -> None:
    """RabbitMQ: the text names the property and both values."""
    queue = scratch.queue(channel)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg '{option}' for queue '{queue}' in vhost '/': "
        "received 'true' but current is 'false'"
    )
    options = {option: True}
    with closes_channel(channel, 406, text):
        channel.queue_declare(queue, **options)


@pytest.mark.parametrize(
    ("before", "after", "argument", "difference"),
    [
        ({"x-message-ttl": 1000}, {"x-message-ttl": 2000}, "x-message-ttl", "received '2000' but current is '1000'"),
        (
            {"x-message-ttl": 1000},
            {},
            "x-message-ttl",
            "received none but current is the value '1000' of type 'signedint'",
        ),
        (
            {},
            {"x-message-ttl": 2000},
            "x-message-ttl",
            "received the value '2000' of type 'signedint' but current is none",
        ),
        (
            {"x-dead-letter-exchange": "a"},
            {"x-dead-letter-exchange": "b"},
            "x-dead-letter-exchange",
            "received 'b' but current is 'a'",
        ),
        (
            {"x-single-active-consumer": True},
            {"x-single-active-consumer": False},
            "x-single-active-consumer",
            "received 'false' but current is 'true'",
        ),
        (
            {},
            {"x-queue-mode": "lazy"},
            "x-queue-mode",
            "received the value 'lazy' of type 'longstr' but current is none",
        ),
        ({}, {"x-max-length": 5}, "x-max-length", "received the value '5' of type 'signedint' but current is none"),
        (
            {"x-overflow": "drop-head"},
            {"x-overflow": "reject-publish"},
            "x-overflow",
            "received 'reject-publish' but current is 'drop-head'",
        ),
        ({"x-max-priority": 5}, {"x-max-priority": 6}, "x-max-priority", "received '6' but current is '5'"),
        ({"x-expires": 60000}, {"x-expires": 60001}, "x-expires", "received '60001' but current is '60000'"),
    ],
)
def test_declaring_again_with_other_arguments_is_406_with_both_values(
    channel: BlockingChannel,
    scratch: Scratch,
    before: dict[str, Any],
    after: dict[str, Any],
    argument: str,
    difference: str,
) -> None:
    """RabbitMQ: queue argument equivalence."""
    queue = scratch.queue(channel, before)
    text = f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{queue}' in vhost '/': {difference}"
    with closes_channel(channel, 406, text):
        channel.queue_declare(queue, arguments=after)


def test_unknown_arguments_are_accepted_and_do_not_count(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: x-arguments of plugins and applications pass."""
    queue = scratch.queue(channel, {"x-colour": "blue"})
    channel.queue_declare(queue, arguments={"x-colour": "red"})
    channel.queue_declare(queue)


INVALID: list[tuple[str, Any, str]] = [
    ("x-message-ttl", -1, "{value_negative,-1}"),
    ("x-message-ttl", "a", '"expected integer, got longstr"'),
    ("x-message-ttl", 1 << 40, "{value_too_large,1099511627776}"),
    ("x-expires", 0, "{value_zero,0}"),
    ("x-expires", -1, "{value_negative,-1}"),
    ("x-expires", "a", '"expected integer, got longstr"'),
    ("x-expires", 1 << 40, "{value_too_large,1099511627776}"),
    ("x-max-length", -1, "{value_negative,-1}"),
    ("x-max-length", "a", '"expected integer, got longstr"'),
    ("x-max-length-bytes", -1, "{value_negative,-1}"),
    ("x-max-length-bytes", "a", '"expected integer, got longstr"'),
    ("x-max-priority", -1, "{value_negative,-1}"),
    ("x-max-priority", 256, "{max_value_exceeded,256}"),
    ("x-max-priority", "a", '"expected integer, got longstr"'),
    ("x-overflow", "spill", "invalid_overflow"),
    ("x-overflow", 5, "{unacceptable_type,signedint}"),
    ("x-queue-mode", "hasty", "\"unsupported queue mode 'hasty'\""),
    ("x-queue-mode", 5, "{unacceptable_type,signedint}"),
    ("x-dead-letter-routing-key", "k", "routing_key_but_no_dlx_defined"),
    ("x-dead-letter-routing-key", 5, "{unacceptable_type,signedint}"),
    ("x-single-active-consumer", "a", "{unacceptable_type,longstr}"),
    ("x-queue-type", "sorted", "\"unsupported queue type 'sorted'\""),
    ("x-queue-type", 5, "{unacceptable_type,signedint}"),
]


@pytest.mark.parametrize(("argument", "value", "reason"), INVALID)
def test_an_invalid_argument_is_406(
    channel: BlockingChannel, scratch: Scratch, argument: str, value: Any, reason: str
) -> None:
    """RabbitMQ: the text names the argument, the queue, and why."""
    queue = scratch.name("q")
    text = f"PRECONDITION_FAILED - invalid arg '{argument}' for queue '{queue}' in vhost '/': {reason}"
    with closes_channel(channel, 406, text):
        channel.queue_declare(queue, arguments={argument: value})
    assert not exists(scratch, queue)


def test_a_dead_letter_exchange_must_be_named_by_a_string(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: this argument has a text of its own."""
    queue = scratch.name("q")
    text = (
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' "
        f"in queue '{queue}' in vhost '/'"
    )
    with closes_channel(channel, 406, text):
        channel.queue_declare(queue, arguments={"x-dead-letter-exchange": 5})


@pytest.mark.parametrize(
    "arguments",
    [
        {"x-message-ttl": 0},
        {"x-max-length": 0},
        {"x-max-priority": 0},
        {"x-max-priority": 255},
        {"x-overflow": "drop-head"},
        {"x-overflow": "reject-publish-dlx"},
        {"x-queue-mode": "default"},
        {"x-queue-mode": "lazy"},
        {"x-queue-type": "classic"},
        {"x-queue-version": 2},
        {"x-queue-master-locator": "min-masters"},
        {"x-single-active-consumer": True},
    ],
    ids=str,
)
def test_a_valid_argument_is_accepted(channel: BlockingChannel, scratch: Scratch, arguments: dict[str, Any]) -> None:
    """RabbitMQ: applications declare these; what means nothing here is accepted all the same."""
    queue = scratch.queue(channel, arguments)
    channel.queue_declare(queue, arguments=arguments)


# ---- queue types


def test_a_quorum_queue_is_declared_by_its_type(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: quorum queues are durable."""
    queue = scratch.queue(channel, {"x-queue-type": "quorum"}, durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"m")
    assert bodies(channel, queue) == [b"m"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"durable": False}, "invalid property 'non-durable' for queue '{}' in vhost '/'"),
        ({"durable": True, "exclusive": True}, "invalid property 'exclusive-owner' for queue '{}' in vhost '/'"),
    ],
    ids=["transient", "exclusive"],
)
def test_a_quorum_queue_must_be_durable_and_not_exclusive(
    channel: BlockingChannel, scratch: Scratch, options: dict[str, Any], reason: str
) -> None:
    """RabbitMQ: 406."""
    queue = scratch.name("q")
    with closes_channel(channel, 406, "PRECONDITION_FAILED - " + reason.format(queue)):
        channel.queue_declare(queue, arguments={"x-queue-type": "quorum"}, **options)


def test_classic_is_the_default_queue_type(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: naming the default is no difference."""
    queue = scratch.queue(channel)
    channel.queue_declare(queue, arguments={"x-queue-type": "classic"})


def test_declaring_a_classic_queue_again_as_quorum_is_406(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ."""
    queue = scratch.queue(channel, durable=True)
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '{queue}' in vhost '/': "
        "received the value 'quorum' of type 'longstr' but current is none"
    )
    with closes_channel(channel, 406, text):
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "quorum"})


@pytest.mark.hubbub_only
def test_a_stream_is_refused_with_540(channel: BlockingChannel, scratch: Scratch) -> None:
    """Deviation: streams over AMQP 0-9-1 come later, and until then the broker says so."""
    queue = scratch.name("q")
    with pytest.raises((pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker)) as refused:
        channel.queue_declare(queue, durable=True, arguments={"x-queue-type": "stream"})
    assert refused.value.reply_code == 540
    assert "stream" in refused.value.reply_text
