"""`hubbub trace …`: the firehose, and messages followed through the broker."""

from __future__ import annotations

import json
import time
from typing import Any

import click

from broker.commands.api import Api, asks_broker, changes_broker, json_option, path_of, vhost_option
from broker.commands.messages import published
from broker.commands.tables import show

LOOK_INTERVAL_S = 0.2
SETTLING_S = 0.5
"""How long `trace publish` waits after the last thing that has happened."""


@click.group()
def trace() -> None:
    """Follow messages; switch the firehose on and off."""


@trace.command("on")
@vhost_option
@changes_broker
def on(api: Api, vhost: str) -> None:
    """Publish whatever is published and delivered once more, to amq.rabbitmq.trace."""
    api.put(path_of("vhosts", vhost), {"tracing": True})


@trace.command("off")
@vhost_option
@changes_broker
def off(api: Api, vhost: str) -> None:
    """End what `trace on` began."""
    api.put(path_of("vhosts", vhost), {"tracing": False})


@trace.command("messages")
@click.option("--exchange", help="Published to this one.")
@click.option("--queue", help="Routed to this one, or in it.")
@click.option("--as", "user", help="Published or consumed by this user.")
@click.option("--client", help="… by this MQTT client identifier or connection name.")
@click.option("--topic", help="An MQTT topic filter: a/+/#.")
@click.option("--routing-key", help="A binding key of a topic exchange: a.*.#.")
@click.option("--messages", "messages_max", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seconds", type=click.IntRange(1), default=60, show_default=True)
@vhost_option
@json_option
@asks_broker
def messages(api: Api, as_json: bool, **asked: Any) -> None:
    """Say what happens to the messages that all options choose, as it happens; Ctrl-C ends it."""
    begun = start(api, asked)
    try:
        follow(api, begun["id"], as_json)
    finally:
        api.delete(f"hubbub/traces/{begun['id']}")


@trace.command("publish")
@click.argument("exchange")
@click.argument("routing_key")
@click.argument("payload")
@click.option("--properties", default="{}", help="JSON: '{\"delivery_mode\": 2}'.")
@vhost_option
@json_option
@asks_broker
def publish_traced(
    api: Api, exchange: str, routing_key: str, payload: str, properties: str, vhost: str, as_json: bool
) -> None:
    """Publish one message, and say what becomes of it."""
    name = "" if exchange == "amq.default" else exchange
    begun = start(api, {"vhost": vhost, "exchange": name, "routing_key": routing_key, "messages_max": 1, "seconds": 60})
    try:
        published(api, exchange, routing_key, payload, properties, vhost)
        follow(api, begun["id"], as_json, settling_s=SETTLING_S)
    finally:
        api.delete(f"hubbub/traces/{begun['id']}")


@trace.command("list")
@json_option
@asks_broker
def list_traces(api: Api, as_json: bool) -> None:
    """List the traces that there are."""
    show(api.get("hubbub/traces"), ("id", "vhost", "running", "messages", "event_count", "filter"), as_json)


def start(api: Api, asked: dict[str, Any]) -> Any:
    """A new trace, as the API gives it."""
    return api.post("hubbub/traces", {name: value for name, value in asked.items() if value is not None})


def follow(api: Api, number: int, as_json: bool, settling_s: float | None = None) -> None:
    """Print what a trace notes until it ends; with `settling_s`, until nothing more happens for so long."""
    last, quiet_since = 0, time.monotonic()
    while True:
        shown = api.get(f"hubbub/traces/{number}?after={last}")
        for event in shown["events"]:
            last, quiet_since = event["number"], time.monotonic()
            click.echo(json.dumps(event) if as_json else line_of(event))
        if not shown["events"]:
            if not shown["running"] or (settling_s is not None and time.monotonic() - quiet_since > settling_s):
                return
            time.sleep(LOOK_INTERVAL_S)


def line_of(event: dict[str, Any]) -> str:
    """`12:00:00.123  #7  published to 'x' with 'k' by guest: routed to q1, q2`."""
    at = time.strftime("%H:%M:%S", time.localtime(event["at"] / 1000)) + f".{event['at'] % 1000:03}"
    words = [at, f"#{event['message']}", event["event"]]
    if event["event"] in ("published", "delayed"):
        words.append(f"to '{event['exchange']}' with '{event['routing_key']}'")
    elif event["event"] == "dead-lettered":
        words.append(f"from {event['queue']} to '{event['to_exchange']}'")
    elif event["queue"]:
        words.append(f"in {event['queue']}" if event["event"] != "delivered" else f"from {event['queue']}")
    by = event["client_id"] or event["user"]
    if by:
        words.append(f"{'to' if event['event'] == 'delivered' else 'by'} {by}")
    if event["reason"]:
        words.append(f"({event['reason']})")
    if event["redelivered"]:
        words.append("again")
    if event["event"] in ("published", "dead-lettered"):
        words.append("→ " + (", ".join(event["routed_to"]) or "nobody"))
    return "  ".join(words[:2]) + "  " + " ".join(words[2:])


COMMANDS = (trace,)
