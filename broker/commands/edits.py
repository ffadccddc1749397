"""Commands that change a running broker: users, vhosts, permissions, policies, queues, messages, connections."""

from __future__ import annotations

import json
from typing import Any

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of, vhost_option
from broker.commands.tables import show

APPLY_TO = ("all", "queues", "classic_queues", "quorum_queues", "exchanges")


@click.group()
def user() -> None:
    """Add, change and delete users."""


@user.command("add")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, help="administrator, monitoring, policymaker, management, impersonator.")
@click.password_option("--new-password", help="Asked for where it is not given.")
@asks_broker
def add_user(api: Api, name: str, tags: tuple[str, ...], new_password: str) -> None:
    """Create user NAME, or give an existing one this password and these tags."""
    api.put(path_of("users", name), {"password": new_password, "tags": list(tags)})


@user.command("tags")
@click.argument("name")
@click.argument("tags", nargs=-1)
@asks_broker
def set_tags(api: Api, name: str, tags: tuple[str, ...]) -> None:
    """Replace the tags of user NAME."""
    api.get(path_of("users", name))
    api.put(path_of("users", name), {"tags": list(tags)})


@user.command("delete")
@click.argument("name")
@asks_broker
def delete_user(api: Api, name: str) -> None:
    """Delete user NAME; its connections are closed."""
    api.delete(path_of("users", name))


@click.group()
def vhost() -> None:
    """Add and delete virtual hosts."""


@vhost.command("add")
@click.argument("name")
@asks_broker
def add_vhost(api: Api, name: str) -> None:
    """Create virtual host NAME."""
    api.put(path_of("vhosts", name), {})


@vhost.command("delete")
@click.argument("name")
@click.confirmation_option(prompt="Everything in it goes. Delete it?")
@asks_broker
def delete_vhost(api: Api, name: str) -> None:
    """Delete virtual host NAME and everything in it."""
    api.delete(path_of("vhosts", name))


@click.group()
def permission() -> None:
    """Say what a user may do in a virtual host."""


@permission.command("set")
@click.argument("name")
@click.argument("configure")
@click.argument("write")
@click.argument("read")
@vhost_option
@asks_broker
def set_permission(api: Api, name: str, configure: str, write: str, read: str, vhost: str) -> None:
    """Let user NAME configure, write and read what matches three regular expressions."""
    api.put(path_of("permissions", vhost, name), {"configure": configure, "write": write, "read": read})


@permission.command("clear")
@click.argument("name")
@vhost_option
@asks_broker
def clear_permission(api: Api, name: str, vhost: str) -> None:
    """Shut user NAME out of the virtual host."""
    api.delete(path_of("permissions", vhost, name))


@click.group()
def policy() -> None:
    """Set arguments of queues and exchanges by pattern."""


@policy.command("set")
@click.argument("name")
@click.argument("pattern")
@click.argument("definition")
@click.option("--apply-to", type=click.Choice(APPLY_TO), default="all", show_default=True)
@click.option("--priority", type=int, default=0, show_default=True)
@click.option("--operator", is_flag=True, help="An operator policy: it limits, whatever users declare.")
@vhost_option
@asks_broker
def set_policy(
    api: Api, name: str, pattern: str, definition: str, apply_to: str, priority: int, operator: bool, vhost: str
) -> None:
    """Set policy NAME for what matches PATTERN; DEFINITION is JSON: '{"max-length": 1000}'."""
    try:
        words = json.loads(definition)
    except ValueError as error:
        raise CommandFailed(f"DEFINITION: expected a JSON object: {error}") from None
    body = {"pattern": pattern, "definition": words, "apply-to": apply_to, "priority": priority}
    api.put(path_of(policies(operator), vhost, name), body)


@policy.command("clear")
@click.argument("name")
@click.option("--operator", is_flag=True, help="An operator policy.")
@vhost_option
@asks_broker
def clear_policy(api: Api, name: str, operator: bool, vhost: str) -> None:
    """Forget policy NAME."""
    api.delete(path_of(policies(operator), vhost, name))


def policies(operator: bool) -> str:
    """The path of one kind of policies."""
    return "operator-policies" if operator else "policies"


# ── queues, messages, connections ─────────────────────────────────────────────────────────────────────────────────────


@click.command()
@click.argument("queue")
@vhost_option
@asks_broker
def purge(api: Api, queue: str, vhost: str) -> None:
    """Remove every ready message of QUEUE."""
    ready = api.get(path_of("queues", vhost, queue))["messages_ready"]
    api.delete(path_of("queues", vhost, queue, "contents"))
    click.echo(f"{ready} messages removed")


@click.command()
@click.argument("exchange")
@click.argument("routing_key")
@click.argument("payload")
@click.option("--properties", default="{}", help="JSON: '{\"delivery_mode\": 2}'.")
@vhost_option
@asks_broker
def publish(api: Api, exchange: str, routing_key: str, payload: str, properties: str, vhost: str) -> None:
    """Publish one message; EXCHANGE amq.default is the nameless one. It is accepted when this returns."""
    try:
        wanted = json.loads(properties)
    except ValueError as error:
        raise CommandFailed(f"--properties: expected a JSON object: {error}") from None
    message = {"properties": wanted, "routing_key": routing_key, "payload": payload, "payload_encoding": "string"}
    routed = api.post(path_of("exchanges", vhost, exchange or "amq.default", "publish"), message)["routed"]
    click.echo("published" if routed else "published, and nobody wanted it")


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


@click.command("close-connection")
@click.argument("name")
@click.option("--reason", default="closed by the operator", show_default=True)
@asks_broker
def close_connection(api: Api, name: str, reason: str) -> None:
    """Close connection NAME, as `hubbub list connections` names it."""
    api.request("DELETE", path_of("connections", name), headers={"X-Reason": reason})
