"""`hubbub explain publish …`: what would become of a message, and why. Nothing is published."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click

from broker.commands.api import Api, asks_broker, json_option, vhost_option
from broker.commands.tables import show

MARKS = {"allows": "+", "refuses": "-", "does not apply": " ", "not asked": " "}


@click.group()
def explain() -> None:
    """Say what would become of a message, and why."""


@explain.group()
@click.option("--as", "user", default=None, help="Published by this user; without, by who asks.")
@click.option(
    "--token-file",
    type=click.File("r"),
    default=None,
    help="Or by whom the OAuth 2 token in this file names (-: input).",
)
@vhost_option
@click.pass_context
def publish(context: click.Context, user: str | None, token_file: TextIO | None, vhost: str) -> None:
    """Rules that are asked, bindings that match, who would get it, and why the others would not."""
    context.obj = {"vhost": vhost, **({"user": user} if user is not None else {})}
    if token_file is not None:
        context.obj["token"] = token_file.read().strip()


@publish.command("amqp")
@click.argument("exchange")
@click.argument("routing_key")
@asks_broker
@json_option
@click.pass_obj
def publish_amqp(place: dict[str, Any], api: Api, exchange: str, routing_key: str, as_json: bool) -> None:
    """A message to EXCHANGE (amq.default: the nameless one) with ROUTING_KEY."""
    tell(
        api.post("hubbub/explain", {**place, "protocol": "amqp", "exchange": exchange, "routing_key": routing_key}),
        as_json,
    )


@publish.command("mqtt")
@click.argument("topic")
@click.option("--client-id", default="", help="Of the client that publishes.")
@click.option("--qos", type=click.IntRange(0, 2), default=0, show_default=True)
@click.option("--retain", is_flag=True)
@asks_broker
@json_option
@click.pass_obj
def publish_mqtt(
    place: dict[str, Any], api: Api, topic: str, client_id: str, qos: int, retain: bool, as_json: bool
) -> None:
    """A message to TOPIC."""
    asked = {"protocol": "mqtt", "topic": topic, "client_id": client_id, "qos": qos, "retain": retain}
    tell(api.post("hubbub/explain", {**place, **asked}), as_json)


def tell(found: dict[str, Any], as_json: bool) -> None:
    """For people, in the order in which it would happen."""
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    known_by, backend = found["backends"]["authentication"], found["backends"]["authorization"]
    if (known_by, backend) != ("internal", "internal"):
        click.echo(f"user {found['user']}: known to the backend {known_by}; {backend} says what it may")
    click.echo("rules")
    for each in found["rules"]:
        rule = each.get("rule")
        shown = f" {rule['permission']} {rule['action']} {rule['topic']}" if rule else ""
        click.echo(f"  {MARKS[each['verdict']]} {each['kind']}{shown}: {each['verdict']}, {each['reason']}")
    click.echo("allowed" if found["allowed"] else "refused")
    for step in found["route"]:
        name = step["exchange"] or "amq.default"
        come = f" by {step['way']} of {step['from'] or 'amq.default'}" if step["way"] != "published" else ""
        click.echo(f"exchange {name} ({step['type']}){come}")
        for binding in step["bindings"]:
            target = binding["destination"]
            why = "" if binding["matches"] else f": {binding['reason']}"
            mark = "+" if binding["matches"] else " "
            click.echo(f"  {mark} '{binding['binding_key']}' to {target['kind']} {target['name']}{why}")
        if step["left_out"]:
            click.echo(f"    and {step['left_out']} bindings more")
        if "alternate" in step:
            there = "" if step["alternate"]["exists"] else ", which there is not"
            click.echo(f"  nothing matches: to the alternate exchange {step['alternate']['exchange']}{there}")
    for title, rows in (("who gets it", found["targets"]), ("who does not", found["others"])):
        if rows:
            click.echo(title)
            show(rows, ("kind", "name", "outcome", "reason"), False)
    if not found["targets"]:
        click.echo("nobody gets it")


COMMANDS = (explain,)
