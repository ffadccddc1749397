"""What a user may do in a vhost: RabbitMQ's access control (configure, write, read), and its texts."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.support.amqp_raw import RawConnection
from tests.support.pika_client import Scratch, bodies, closes_channel, get_soon


@pytest.fixture
def limited(scratch: Scratch) -> BlockingChannel:
    """A channel of the user that may touch only what begins with `limited-`."""
    return scratch.connect(credentials=pika.PlainCredentials("limited", "limited")).channel()


@contextlib.contextmanager
def refuses(channel: BlockingChannel, kind: str, name: str) -> Iterator[None]:
    """403 with RabbitMQ's text; its later versions name the permission in front: `configure access to …`."""
    with closes_channel(channel, 403) as refusal:
        yield
    text = re.sub(r" - (configure |write |read )", " - ", refusal.text)
    assert text == f"ACCESS_REFUSED - access to {kind} '{name}' in vhost '/' refused for user 'limited'"


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, name: channel.queue_declare(name),
        lambda channel, name: channel.queue_delete(name),
        lambda channel, name: channel.queue_purge(name),
        lambda channel, name: channel.basic_get(name),
        lambda channel, name: channel.basic_consume(name, lambda *_: None),
        lambda channel, name: channel.queue_bind(name, "limited-x", "k"),
    ],
    ids=["declare", "delete", "purge", "get", "consume", "bind"],
)
def test_a_queue_beyond_the_permissions_is_403(
    channel: BlockingChannel, limited: BlockingChannel, scratch: Scratch, use: Any
) -> None:
    """RabbitMQ: declare and delete need configure; purge, get, consume need read; bind needs write on the queue."""
    queue = scratch.queue(channel)
    with refuses(limited, "queue", queue):
        use(limited, queue)


@pytest.mark.parametrize(
    "use",
    [
        lambda channel, name: channel.exchange_declare(name, "direct"),
        lambda channel, name: channel.exchange_delete(name),
        lambda channel, name: channel.basic_publish(name, "k", b""),
    ],
    ids=["declare", "delete", "publish"],
)
def test_an_exchange_beyond_the_permissions_is_403(
    channel: BlockingChannel, limited: BlockingChannel, scratch: Scratch, use: Any
) -> None:
    """RabbitMQ: declare and delete need configure, publish needs write."""
    exchange = scratch.exchange(channel, "direct")
    with refuses(limited, "exchange", exchange):
        use(limited, exchange)


def test_binding_needs_read_on_the_source_exchange(
    channel: BlockingChannel, limited: BlockingChannel, scratch: Scratch
) -> None:
    """RabbitMQ."""
    exchange = scratch.exchange(channel, "direct")
    queue = f"limited-{scratch.name()}"
    limited.queue_declare(queue, exclusive=True)
    with refuses(limited, "exchange", exchange):
        limited.queue_bind(queue, exchange, "k")


def test_the_default_exchange_is_named_amq_default_in_permissions(limited: BlockingChannel) -> None:
    """RabbitMQ: the empty name is matched, and told, as amq.default."""
    with refuses(limited, "exchange", "amq.default"):
        limited.basic_publish("", "k", b"")


def test_what_is_permitted_works(limited: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the expressions of one user cover the whole way."""
    exchange, queue = f"limited-{scratch.name()}", f"limited-{scratch.name()}"
    limited.exchange_declare(exchange, "fanout")
    limited.queue_declare(queue, exclusive=True)
    limited.queue_bind(queue, exchange)
    limited.basic_publish(exchange, "", b"m")
    assert bodies(limited, queue) == [b"m"]
    limited.exchange_delete(exchange)


def test_passive_declare_needs_no_permission(
    channel: BlockingChannel, limited: BlockingChannel, scratch: Scratch
) -> None:
    """RabbitMQ."""
    limited.queue_declare(scratch.queue(channel), passive=True)


def test_a_vhost_without_permissions_is_530(raw: RawConnection) -> None:
    """RabbitMQ: at connection.open."""
    raw.start()
    raw.start_ok("limited", "limited")
    raw.tune_ok()
    raw.send("connection.open", virtual_host="other")
    close = raw.expect("connection.close")
    assert (close.fields["reply_code"], close.fields["reply_text"]) == (
        530,
        "NOT_ALLOWED - access to vhost 'other' refused for user 'limited'",
    )


def test_vhosts_are_separate(channel: BlockingChannel, scratch: Scratch) -> None:
    """AMQP 0-9-1 §2.1.1: exchanges, queues, bindings of one vhost are its own; a text names the vhost."""
    queue = scratch.queue(channel)
    other = scratch.connect(virtual_host="other").channel()
    with closes_channel(other, 404, f"NOT_FOUND - no queue '{queue}' in vhost 'other'"):
        other.queue_declare(queue, passive=True)


def test_an_impersonator_may_set_any_user_id(channel: BlockingChannel, scratch: Scratch) -> None:
    """RabbitMQ: the tag impersonator."""
    queue = scratch.queue(channel)
    actor = scratch.connect(credentials=pika.PlainCredentials("actor", "actor")).channel()
    actor.basic_publish("", queue, b"", pika.BasicProperties(user_id="somebody"))
    assert get_soon(channel, queue).properties.user_id == "somebody"
