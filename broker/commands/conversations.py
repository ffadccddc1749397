"""`hubbub consume`, `hubbub subscribe`, `hubbub publish-topic`: as a client, in the protocol of one's choice."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from broker.commands.api import Api, asks_broker, json_option, vhost_option
from broker.commands.clients import client_of
from broker.commands.clients.place import Place, Received, Reception, as_json, as_line, octets_of

Command = Callable[..., Any]


def receives(command: Command) -> Command:
    """Options of what receives, made a `reception`."""

    @click.option("--count", type=click.IntRange(1), help="End after so many messages.")
    @click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after so long.")
    @click.option("--json", "json_lines", is_flag=True, help="For scripts: an object a line.")
    @wraps(command)
    def with_reception(count: int | None, seconds: float | None, json_lines: bool, **arguments: Any) -> None:
        def write(received: Received) -> None:
            click.echo(as_json(received) if json_lines else as_line(received))

        try:
            command(reception=Reception(write, count, seconds), **arguments)
        except KeyboardInterrupt:
            return

    return with_reception  # fmt: skip


@click.command()
@click.argument("queue")
@click.option("--no-ack", is_flag=True, help="A message is gone when it is sent, written or not.")
@click.option("--protocol", type=click.Choice(("ws", "amqp")), default="ws", show_default=True)
@receives
@vhost_option
@asks_broker
def consume(api: Api, queue: str, no_ack: bool, protocol: str, reception: Reception, vhost: str) -> None:
    """Consume QUEUE, a message a line; each is acknowledged when it is written. Ctrl-C ends it."""
    place = Place(api, vhost)
    client_of(protocol).receive(place, queue if protocol == "amqp" else {"queue": queue}, reception, not no_ack)


@click.command()
@click.argument("topic_filter", metavar="FILTER")
@click.option("--qos", type=click.IntRange(0, 2), default=0, show_default=True, help="Of MQTT.")
@click.option("--protocol", type=click.Choice(("ws", "mqtt")), default="ws", show_default=True)
@receives
@vhost_option
@asks_broker
def subscribe(api: Api, topic_filter: str, qos: int, protocol: str, reception: Reception, vhost: str) -> None:
    """Subscribe to topics, a message a line: what is retained first. FILTER may have + and #. Ctrl-C ends it."""
    place = Place(api, vhost)
    if protocol == "mqtt":
        client_of(protocol).receive(place, topic_filter, reception, qos)
    else:
        client_of(protocol).receive(place, {"topic": topic_filter}, reception, False)


@click.command("publish-topic")
@click.argument("topic")
@click.argument("payload")
@click.option("--qos", type=click.IntRange(0, 2), default=1, show_default=True, help="Of MQTT.")
@click.option("--retain", is_flag=True, help="Kept for those who subscribe later.")
@click.option("--protocol", type=click.Choice(("ws", "mqtt")), default="ws", show_default=True)
@vhost_option
@json_option
@asks_broker
def publish_topic(
    api: Api, topic: str, payload: str, qos: int, retain: bool, protocol: str, vhost: str, as_json: bool
) -> None:
    """Publish PAYLOAD to an MQTT topic; - reads it from standard input. It is accepted when this returns."""
    place, body = Place(api, vhost), octets_of(payload)
    if protocol == "mqtt":
        client_of(protocol).publish(place, topic, body, qos, retain)
    else:
        client_of(protocol).publish(place, {"topic": topic}, body, {}, retain=retain)
    click.echo(json.dumps({"published": True}) if as_json else "published")


COMMANDS = (consume, subscribe, publish_topic)
"""What speaks as a client."""
