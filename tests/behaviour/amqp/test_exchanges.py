"""The exchange class: declare, delete, bind, unbind; what is predeclared and what is forbidden."""

from __future__ import annotations

from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.pika_client import Scratch, bodies, closes_channel, pump

DEFAULT_REFUSED = "ACCESS_REFUSED - operation not permitted on the default exchange"


def exists(scratch: Scratch, exchange: str) -> bool:
    """Ask on a channel of its own: a 404 closes it."""
    connection = scratch.connect()
    try:
        connection.channel().exchange_declare(exchange, passive=True)
    except pika.exceptions.ChannelClosedByBroker as closed:
        if closed.reply_code != 404:
            raise
        return False
    finally:
        connection.close()
    return True


@pytest.mark.parametrize(
    ("exchange", "exchange_type"),
    [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
    ],
)
def test_is_predeclared(channel: BlockingChannel, exchange: str, exchange_type: str) -> None:
    """AMQP 0-9-1 §3.1.3: durable, and may be declared again equally."""
    channel.exchange_declare(exchange, passive=True)
    channel.exchange_declare(exchange, exchange_type, durable=True)


def test_declaring_again_equally_is_fine(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.1."""
    exchange = scratch.exchange(channel, "topic", durable=True)
    channel.exchange_declare(exchange, "topic", durable=True)


@pytest.mark.parametrize(
    ("options", "argument", "difference"),
    [
        ({"exchange_type": "fanout"}, "type", "received 'fanout' but current is 'direct'"),
        ({"durable": True}, "durable", "received 'true' but current is 'false'"),
        ({"auto_delete": True}, "auto_delete", "received 'true' but current is 'false'"),
        ({"internal": True}, "internal", "received 'true' but current is 'false'"),
        (
            {"arguments": {"alternate-exchange": "other"}},
            "alternate-exchange",
            "received the value 'other' of type 'longstr' but current is none",
        ),
    ],
    ids=["type", "durable", "auto_delete", "internal", "alternate-exchange"],
)
def test_declaring_again_otherwise_is_refused_with_406(
    channel: BlockingChannel, scratch: Scratch, options: dict[str, Any], argument: str, difference: str
) -> None:
    """RabbitMQ: the text names the argument and both values."""
    exchange = scratch.exchange(channel, "direct")
    text = f"PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange '{exchange}' in vhost '/': {difference}"
    with closes_channel(channel, 406, text):
        channel.exchange_declare(exchange, **{"exchange_type": "direct", **options})


def test_declaring_again_with_another_alternate_exchange_is_refused(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: when both are given, both are told."""
    exchange = scratch.exchange(channel, "direct", {"alternate-exchange": "foo"})
    text = (
        f"PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange '{exchange}' in vhost '/': "
        "received 'bar' but current is 'foo'"
    )
    with closes_channel(channel, 406, text):
        channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": "bar"})


def test_unknown_arguments_are_accepted(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: arguments of an exchange that nobody reads do no harm, and do not count as a difference."""
    exchange = scratch.exchange(channel, "direct", {"x-colour": "blue"})
    channel.exchange_declare(exchange, "direct")


def test_passive_declare_of_an_absent_exchange_is_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.6.2.1.2."""
    with closes_channel(channel, 404, "NOT_FOUND - no exchange 'absent' in vhost '/'"):
        channel.exchange_declare("absent", passive=True)


def test_passive_declare_looks_at_nothing_but_the_name(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.1.2."""
    exchange = scratch.exchange(channel, "fanout", durable=True)
    channel.exchange_declare(exchange, "topic", passive=True)


@pytest.mark.parametrize("exchange_type", ["nonsense", "x-nonsense"])
def test_an_unknown_type_closes_the_channel_with_406(
    channel: BlockingChannel, scratch: Scratch, exchange_type: str
) -> None:
    """RabbitMQ since 4.0, and pika's own tests; AMQP 0-9-1 §1.6.2.1.3 has command-invalid, a connection error."""
    with closes_channel(channel, 406, f"PRECONDITION_FAILED - unknown exchange type '{exchange_type}'"):
        scratch.exchange(channel, exchange_type)


def test_names_with_amq_are_reserved(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.6.2.1.2."""
    with closes_channel(channel, 403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"):
        channel.exchange_declare("amq.mine", "direct")


def test_passive_declare_of_a_reserved_name_is_just_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.6.2.1.2: the rule is about creating."""
    with closes_channel(channel, 404, "NOT_FOUND - no exchange 'amq.mine' in vhost '/'"):
        channel.exchange_declare("amq.mine", passive=True)


@pytest.mark.parametrize("exchange", ["amq.direct", "amq.mine"])
def test_predeclared_exchanges_cannot_be_deleted(channel: BlockingChannel, exchange: str) -> None:
    """RabbitMQ."""
    text = f"ACCESS_REFUSED - deletion of system exchange '{exchange}' in vhost '/' not allowed"
    with closes_channel(channel, 403, text):
        channel.exchange_delete(exchange)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda channel, _queue: channel.exchange_declare("", "direct", durable=True),
        lambda channel, _queue: channel.exchange_declare("", passive=True),
        lambda channel, _queue: channel.exchange_delete(""),
        lambda channel, queue: channel.queue_bind(queue, "", "key"),
        lambda channel, queue: channel.queue_unbind(queue, "", queue),
        lambda channel, _queue: channel.exchange_bind("amq.direct", "", "key"),
        lambda channel, _queue: channel.exchange_bind("", "amq.direct", "key"),
        lambda channel, _queue: channel.exchange_unbind("", "amq.direct", "key"),
    ],
    ids=["declare", "declare-passive", "delete", "bind", "unbind", "e2e-source", "e2e-destination", "e2e-unbind"],
)
def test_the_default_exchange_is_untouchable(channel: BlockingChannel, scratch: Scratch, forbidden: Any) -> None:
    """AMQP 0-9-1 §3.1.3.1; RabbitMQ answers 403."""
    queue = scratch.queue(channel)
    with closes_channel(channel, 403, DEFAULT_REFUSED):
        forbidden(channel, queue)


def test_delete_removes_it(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.3."""
    exchange = scratch.exchange(channel, "direct")
    channel.exchange_delete(exchange)
    assert not exists(scratch, exchange)


def test_deleting_an_absent_exchange_is_fine(channel: BlockingChannel) -> None:
    """RabbitMQ: delete is idempotent."""
    channel.exchange_delete("absent")


def test_delete_if_unused_of_a_bound_exchange_is_406(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.3."""
    exchange = scratch.exchange(channel, "direct")
    scratch.bound_queue(channel, exchange, "k")
    with closes_channel(channel, 406, f"PRECONDITION_FAILED - exchange '{exchange}' in vhost '/' in use"):
        channel.exchange_delete(exchange, if_unused=True)


def test_delete_if_unused_of_an_unbound_exchange_works(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.3."""
    exchange = scratch.exchange(channel, "direct")
    channel.exchange_delete(exchange, if_unused=True)
    assert not exists(scratch, exchange)


def test_deleting_an_exchange_removes_its_bindings(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.3: a namesake starts empty."""
    exchange = scratch.exchange(channel, "fanout")
    queue = scratch.bound_queue(channel, exchange)
    channel.exchange_delete(exchange)
    channel.exchange_declare(exchange, "fanout")
    channel.basic_publish(exchange, "", b"lost")
    assert bodies(channel, queue) == []


def test_an_auto_delete_exchange_goes_with_its_last_binding(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.1 auto-delete."""
    exchange = scratch.exchange(channel, "direct", auto_delete=True)
    queue = scratch.queue(channel)
    for key in ("a", "b"):
        channel.queue_bind(queue, exchange, key)
    channel.queue_unbind(queue, exchange, "a")
    assert exists(scratch, exchange)
    channel.queue_unbind(queue, exchange, "b")
    assert not exists(scratch, exchange)


def test_an_auto_delete_exchange_goes_with_its_last_queue(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.1 auto-delete."""
    exchange = scratch.exchange(channel, "direct", auto_delete=True)
    queue = scratch.bound_queue(channel, exchange, "k")
    channel.queue_delete(queue)
    assert not exists(scratch, exchange)


def test_an_auto_delete_exchange_that_was_never_bound_stays(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: deleted when the last binding goes, so there must have been one."""
    exchange = scratch.exchange(channel, "direct", auto_delete=True)
    channel.basic_qos()
    assert exists(scratch, exchange)


def test_publishing_to_an_internal_exchange_is_403(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.6.2.1 internal."""
    exchange = scratch.exchange(channel, "direct", internal=True)
    text = f"ACCESS_REFUSED - cannot publish to internal exchange '{exchange}' in vhost '/'"
    with closes_channel(channel, 403, text):
        channel.basic_publish(exchange, "k", b"")


def test_an_internal_exchange_takes_messages_from_another(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: exchange-to-exchange bindings."""
    inner, outer = scratch.exchange(channel, "fanout", internal=True), scratch.exchange(channel, "fanout")
    channel.exchange_bind(inner, outer)
    queue = scratch.bound_queue(channel, inner)
    channel.basic_publish(outer, "", b"in")
    assert bodies(channel, queue) == [b"in"]


def test_publishing_to_an_absent_exchange_is_404(channel: BlockingChannel) -> None:
    """AMQP 0-9-1 §1.8.3.7.3: a channel error."""
    with closes_channel(channel, 404, "NOT_FOUND - no exchange 'absent' in vhost '/'"):
        channel.basic_publish("absent", "k", b"")


# ---- bindings


def test_binding_again_equally_is_one_binding(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.7.2.3: duplicates are ignored."""
    exchange = scratch.exchange(channel, "direct")
    queue = scratch.bound_queue(channel, exchange, "k")
    channel.queue_bind(queue, exchange, "k")
    channel.queue_unbind(queue, exchange, "k")
    channel.basic_publish(exchange, "k", b"")
    assert bodies(channel, queue) == []


def test_bindings_that_differ_in_arguments_are_two(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: a binding is source, destination, key and arguments."""
    exchange = scratch.exchange(channel, "headers")
    queue = scratch.bound_queue(channel, exchange, "", {"a": 1})
    channel.queue_bind(queue, exchange, "", {"a": 2})
    channel.queue_unbind(queue, exchange, "", {"a": 2})
    for value in (1, 2):
        channel.basic_publish(exchange, "", str(value).encode(), pika.BasicProperties(headers={"a": value}))
    assert bodies(channel, queue) == [b"1"]


def test_a_binding_takes_effect_for_the_next_message(channel: BlockingChannel, scratch: Scratch) -> None:
    """Route caches must not outlive a binding."""
    exchange = scratch.exchange(channel, "topic")
    first = scratch.bound_queue(channel, exchange, "a.#")
    channel.basic_publish(exchange, "a.b", b"1")
    second = scratch.bound_queue(channel, exchange, "#")
    channel.basic_publish(exchange, "a.b", b"2")
    channel.queue_unbind(first, exchange, "a.#")
    channel.basic_publish(exchange, "a.b", b"3")
    assert (bodies(channel, first), bodies(channel, second)) == ([b"1", b"2"], [b"2", b"3"])


@pytest.mark.parametrize(
    ("forbidden", "text"),
    [
        (lambda channel, queue: channel.queue_bind(queue, "absent", "k"), "no exchange 'absent' in vhost '/'"),
        (lambda channel, _queue: channel.queue_bind("absent", "amq.direct", "k"), "no queue 'absent' in vhost '/'"),
        (lambda channel, _q: channel.exchange_bind("absent", "amq.direct", "k"), "no exchange 'absent' in vhost '/'"),
        (lambda channel, _q: channel.exchange_bind("amq.direct", "absent", "k"), "no exchange 'absent' in vhost '/'"),
    ],
    ids=["exchange", "queue", "e2e-destination", "e2e-source"],
)
def test_binding_what_is_absent_is_404(channel: BlockingChannel, scratch: Scratch, forbidden: Any, text: str) -> None:
    """AMQP 0-9-1 §1.7.2.3."""
    queue = scratch.queue(channel)
    with closes_channel(channel, 404, f"NOT_FOUND - {text}"):
        forbidden(channel, queue)


def test_unbinding_what_is_not_bound_is_fine(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: unbind is idempotent, even towards what does not exist."""
    queue = scratch.queue(channel)
    channel.queue_unbind(queue, "amq.direct", "never")
    channel.queue_unbind(queue, "absent", "k")
    channel.queue_unbind("absent", "amq.direct", "k")
    channel.exchange_unbind("amq.fanout", "amq.direct", "never")


def test_exchange_to_exchange_bindings_route_on(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: each exchange matches by its own type."""
    source, destination = scratch.exchange(channel, "direct"), scratch.exchange(channel, "topic")
    channel.exchange_bind(destination, source, "a.b")
    queue = scratch.bound_queue(channel, destination, "*.b")
    channel.basic_publish(source, "a.b", b"1")
    channel.basic_publish(source, "c.b", b"2")
    assert bodies(channel, queue) == [b"1"]
    channel.exchange_unbind(destination, source, "a.b")
    channel.basic_publish(source, "a.b", b"3")
    assert bodies(channel, queue) == []


def test_exchange_to_exchange_cycles_end(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: each exchange is visited once for a message."""
    first, second = scratch.exchange(channel, "fanout"), scratch.exchange(channel, "fanout")
    channel.exchange_bind(first, second)
    channel.exchange_bind(second, first)
    channel.exchange_bind(first, first)
    queue = scratch.bound_queue(channel, first)
    channel.queue_bind(queue, second)
    channel.basic_publish(second, "", b"once")
    assert bodies(channel, queue) == [b"once"]


def test_deliveries_through_two_exchanges_name_the_first(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §1.8.3.9: the exchange to which the message was originally published."""
    source, destination = scratch.exchange(channel, "fanout"), scratch.exchange(channel, "fanout")
    channel.exchange_bind(destination, source)
    queue = scratch.bound_queue(channel, destination)
    channel.basic_publish(source, "the.key", b"")
    method, _, _ = channel.basic_get(queue, auto_ack=True)
    assert (method.exchange, method.routing_key) == (source, "the.key")


# ---- alternate exchanges


def test_what_routes_nowhere_goes_to_the_alternate_exchange(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: alternate exchanges."""
    alternate = scratch.exchange(channel, "fanout")
    spilled = scratch.bound_queue(channel, alternate)
    exchange = scratch.exchange(channel, "direct", {"alternate-exchange": alternate})
    queue = scratch.bound_queue(channel, exchange, "k")
    channel.basic_publish(exchange, "k", b"routed")
    channel.basic_publish(exchange, "other", b"spilled")
    assert (bodies(channel, queue), bodies(channel, spilled)) == ([b"routed"], [b"spilled"])


def test_alternate_exchanges_chain(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: an alternate exchange that cannot route tries its own alternate."""
    last = scratch.exchange(channel, "fanout")
    spilled = scratch.bound_queue(channel, last)
    middle = scratch.exchange(channel, "direct", {"alternate-exchange": last})
    first = scratch.exchange(channel, "direct", {"alternate-exchange": middle})
    channel.basic_publish(first, "k", b"far")
    assert bodies(channel, spilled) == [b"far"]


def test_alternate_exchanges_in_a_circle_end(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the message is unroutable then, and returned if mandatory."""
    first, second = scratch.name("x"), scratch.name("x")
    channel.exchange_declare(first, "direct", arguments={"alternate-exchange": second})
    channel.exchange_declare(second, "direct", arguments={"alternate-exchange": first})
    returned: list[bytes] = []
    channel.add_on_return_callback(lambda _channel, _method, _properties, body: returned.append(body))
    channel.basic_publish(first, "k", b"back", mandatory=True)
    pump(channel, lambda: returned == [b"back"])


def test_an_absent_alternate_exchange_is_ignored(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ logs a warning; the message is unroutable."""
    exchange = scratch.exchange(channel, "direct", {"alternate-exchange": "absent"})
    channel.basic_publish(exchange, "k", b"")
    channel.basic_qos()


def test_mandatory_is_content_with_an_alternate_exchange(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: a message that the alternate exchange routed counts as routed."""
    alternate = scratch.exchange(channel, "fanout")
    spilled = scratch.bound_queue(channel, alternate)
    exchange = scratch.exchange(channel, "direct", {"alternate-exchange": alternate})
    channel.confirm_delivery()
    channel.basic_publish(exchange, "k", b"m", mandatory=True)  # would raise UnroutableError
    assert bodies(channel, spilled) == [b"m"]


def test_an_alternate_exchange_must_be_named_by_a_string(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: 406."""
    exchange = scratch.name("x")
    text = (
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' "
        f"in exchange '{exchange}' in vhost '/'"
    )
    with closes_channel(channel, 406, text):
        channel.exchange_declare(exchange, "direct", arguments={"alternate-exchange": 5})
