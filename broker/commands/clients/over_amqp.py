"""AMQP 0-9-1 by pika, an extra: `hubbub[clients]`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from broker.commands.api import CommandFailed
from broker.commands.clients.place import Place, Received, Reception

try:
    import pika
    from pika import exceptions
except ImportError:  # pragma: no cover - the extra
    pika = None


@contextmanager
def connected(place: Place) -> Iterator[Any]:
    """A channel; whatever pika raises is a CommandFailed."""
    if pika is None:
        raise CommandFailed("pika is not installed: pip install 'hubbub[clients]'")
    port, tls = place.listener("amqp")
    parameters = pika.ConnectionParameters(
        place.host,
        port,
        place.vhost,
        pika.PlainCredentials(place.api.user, place.api.password),
        ssl_options=pika.SSLOptions(place.api.tls, place.host) if tls else None,
    )
    try:
        connection = pika.BlockingConnection(parameters)
        try:
            yield connection.channel()
        finally:
            if connection.is_open:
                connection.close()
    except (exceptions.AMQPError, OSError) as error:
        raise CommandFailed(f"amqp://{place.host}:{port}: {reason_of(error)}") from None


def reason_of(error: BaseException) -> str:
    """What the broker said, where it said something."""
    return getattr(error, "reply_text", "") or str(error) or type(error).__name__


def publish(place: Place, target: dict[str, Any], body: bytes, properties: dict[str, Any]) -> None:
    """`target`: `exchange` and `routing_key`. Returns when it is confirmed; that nobody gets it is an error."""
    with connected(place) as channel:
        channel.confirm_delivery()
        try:
            made = pika.BasicProperties(**properties)
            channel.basic_publish(target["exchange"], target["routing_key"], body, made, mandatory=True)
        except exceptions.UnroutableError:
            raise CommandFailed("nobody gets it") from None
        except exceptions.NackError:
            raise CommandFailed("the broker did not accept it") from None
        except (TypeError, AssertionError, AttributeError) as error:
            raise CommandFailed(f"--properties: {error}") from None


def receive(place: Place, queue: str, reception: Reception, ack: bool) -> None:
    """A message is acknowledged when it is written."""
    with connected(place) as channel:
        channel.basic_qos(prefetch_count=reception.credit)
        for method, properties, body in channel.consume(queue, auto_ack=not ack, inactivity_timeout=reception.rest_s):
            if method is None:  # the time is up
                break
            found = {name: value for name, value in vars(properties).items() if value is not None}
            reception.take(Received(method.routing_key, method.exchange, body, found, method.redelivered))
            if reception.is_over:  # before the last acknowledgement, so that no other message sets out
                channel.cancel()
            if ack:
                channel.basic_ack(method.delivery_tag)
            if reception.is_over:
                break
