"""`hubbub publish`, `hubbub get`, `hubbub purge`: messages, one by one."""

from __future__ import annotations

import json
from typing import Any

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of, vhost_option
from broker.commands.clients import client_of
from broker.commands.clients.place import Place, octets_of
from broker.commands.tables import show


@click.command()
@click.argument("exchange")
@click.argument("routing_key")
@click.argument("payload")
@click.option("--properties", default="{}", help="JSON: '{\"delivery_mode\": 2}'.")
@click.option("--protocol", type=click.Choice(("http", "ws", "amqp")), default="http", show_default=True)
@vhost_option
@json_option
@asks_broker
def publish(
    api: Api, exchange: str, routing_key: str, payload: str, properties: str, protocol: str, vhost: str, as_json: bool
) -> None:
    """Publish one message; EXCHANGE amq.default is the nameless one. It is accepted when this returns.

    PAYLOAD - is read from standard input, for the protocols ws and amqp.
    """
    if protocol != "http":
        target = {"exchange": "" if exchange == "amq.default" else exchange, "routing_key": routing_key}
        client_of(protocol).publish(Place(api, vhost), target, octets_of(payload), properties_of(properties))
        click.echo(json.dumps({"published": True}) if as_json else "published")
        return
    routed = published(api, exchange, routing_key, payload, properties, vhost)
    if as_json:
        click.echo(json.dumps({"published": True, "routed": routed}))
    else:
        click.echo("published" if routed else "published, and nobody wanted it")


def published(api: Api, exchange: str, routing_key: str, payload: str, properties: str, vhost: str) -> bool:
    """Publish; whether anybody wanted it. Raises CommandFailed."""
    message = {
        "properties": properties_of(properties),
        "routing_key": routing_key,
        "payload": payload,
        "payload_encoding": "string",
    }
    routed: bool = api.post(path_of("exchanges", vhost, exchange or "amq.default", "publish"), message)["routed"]
    return routed


def properties_of(text: str) -> dict[str, Any]:
    """What `--properties` holds. Raises CommandFailed."""
    try:
        wanted = json.loads(text)
    except ValueError as error:
        raise CommandFailed(f"--properties: expected a JSON object: {error}") from None
    if not isinstance(wanted, dict):
        raise CommandFailed("--properties: expected a JSON object")
    return wanted


@click.command()
@click.argument("queue")
@click.option("--count", type=click.IntRange(1, 50_000), default=1, show_default=True)
@click.option("--keep", is_flag=True, help="Only look: the messages stay.")
@vhost_option
@json_option
@asks_broker
def get(api: Api, queue: str, count: int, keep: bool, vhost: str, as_json: bool) -> None:
    """Take messages from the front of QUEUE."""
    mode = "ack_requeue_true" if keep else "ack_requeue_false"
    ask: dict[str, Any] = {"count": count, "ackmode": mode, "encoding": "auto"}
    rows = api.post(path_of("queues", vhost, queue, "get"), ask)
    show(rows, ("routing_key", "payload_bytes", "redelivered", "payload"), as_json)


@click.command()
@click.argument("queue")
@vhost_option
@json_option
@asks_broker
def purge(api: Api, queue: str, vhost: str, as_json: bool) -> None:
    """Remove every ready message of QUEUE."""
    ready = api.get(path_of("queues", vhost, queue))["messages_ready"]
    api.delete(path_of("queues", vhost, queue, "contents"))
    click.echo(json.dumps({"removed": ready}) if as_json else f"{ready} messages removed")


COMMANDS = (publish, get, purge)
