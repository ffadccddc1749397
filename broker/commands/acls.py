"""`hubbub acl …`: which topics MQTT's clients may publish and subscribe to."""

from __future__ import annotations

import json

import click

from broker.commands.api import Api, asks_broker, changes_broker, json_option, path_of, vhost_option
from broker.commands.tables import show


@click.group()
def acl() -> None:
    """Rules about topics, in order: the first that fits decides."""


@acl.command("list")
@vhost_option
@asks_broker
@json_option
def list_acls(api: Api, vhost: str, as_json: bool) -> None:
    """Show the rules of a virtual host, and what holds where none fits."""
    found = api.get(f"hubbub/mqtt/acls/{path_of(vhost)}")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    show(found["rules"], ("number", "permission", "action", "topic", "user", "source"), False)
    click.echo(f"otherwise: {found['default']}")


@acl.command("add")
@click.argument("permission", type=click.Choice(["allow", "deny"]))
@click.argument("action", type=click.Choice(["publish", "subscribe", "all"]))
@click.argument("topic")
@click.option("--for", "user", default=None, help="The user that it is for; without, everybody.")
@click.option("--before", "number", type=int, default=None, help="The number of the rule that it comes before.")
@vhost_option
@changes_broker
def add_acl(
    api: Api, permission: str, action: str, topic: str, user: str | None, number: int | None, vhost: str
) -> None:
    """Add a rule for the topic filter TOPIC: + and # as in a subscription, %c the client identifier, %u the user."""
    rule = {"permission": permission, "action": action, "topic": topic, "user": user, "number": number}
    api.post(f"hubbub/mqtt/acls/{path_of(vhost)}", rule)


@acl.command("remove")
@click.argument("number", type=int)
@vhost_option
@changes_broker
def remove_acl(api: Api, number: int, vhost: str) -> None:
    """Remove the rule NUMBER; those behind it move up."""
    api.delete(f"hubbub/mqtt/acls/{path_of(vhost, str(number))}")


COMMANDS = (acl,)
