"""`hubbub declare …`, `hubbub delete …`: queues, exchanges, bindings, parameters and limits, one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from broker.commands.api import Api, CommandFailed, changes_broker, path_of, vhost_option

RATES = ("max-messages-per-second", "max-bytes-per-second")
VHOST_LIMITS = ("max-connections", "max-queues", *RATES)
USER_LIMITS = ("max-connections", "max-channels", *RATES)


def json_object(option: str, text: str) -> dict[str, Any]:
    """What an option holds. Raises CommandFailed."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise CommandFailed(f"{option}: expected a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise CommandFailed(f"{option}: expected a JSON object")
    return value


arguments_option = click.option("--arguments", default="{}", help="JSON: '{\"x-max-length\": 1000}'.")
transient_option = click.option("--transient", is_flag=True, help="Gone after a restart.")
auto_delete_option = click.option("--auto-delete", is_flag=True, help="Gone when nobody uses it any more.")
kind_option = click.option("--to-exchange", is_flag=True, help="DESTINATION is an exchange.")


@click.group()
def declare() -> None:
    """Declare a queue, an exchange, a binding, a parameter or a limit; what is there and the same stays."""


@declare.command("queue")
@click.argument("name")
@click.option("--type", "queue_type", type=click.Choice(("classic", "quorum")), help="As `x-queue-type`.")
@transient_option
@auto_delete_option
@arguments_option
@vhost_option
@changes_broker
def declare_queue(
    api: Api, name: str, queue_type: str | None, transient: bool, auto_delete: bool, arguments: str, vhost: str
) -> None:
    """Declare queue NAME."""
    found = json_object("--arguments", arguments)
    if queue_type is not None:
        found["x-queue-type"] = queue_type
    api.put(path_of("queues", vhost, name), {"durable": not transient, "auto_delete": auto_delete, "arguments": found})


@declare.command("exchange")
@click.argument("name")
@click.option("--type", "exchange_type", default="direct", show_default=True)
@click.option("--internal", is_flag=True, help="Only other exchanges publish to it.")
@transient_option
@auto_delete_option
@arguments_option
@vhost_option
@changes_broker
def declare_exchange(
    api: Api,
    name: str,
    exchange_type: str,
    internal: bool,
    transient: bool,
    auto_delete: bool,
    arguments: str,
    vhost: str,
) -> None:
    """Declare exchange NAME."""
    body = {
        "type": exchange_type,
        "durable": not transient,
        "auto_delete": auto_delete,
        "internal": internal,
        "arguments": json_object("--arguments", arguments),
    }
    api.put(path_of("exchanges", vhost, name), body)


@declare.command("binding")
@click.argument("source")
@click.argument("destination")
@click.argument("routing_key", default="")
@kind_option
@arguments_option
@vhost_option
@changes_broker
def declare_binding(
    api: Api, source: str, destination: str, routing_key: str, to_exchange: bool, arguments: str, vhost: str
) -> None:
    """Bind DESTINATION to exchange SOURCE by ROUTING_KEY."""
    body = {"routing_key": routing_key, "arguments": json_object("--arguments", arguments)}
    api.post(between(vhost, source, destination, to_exchange), body)


@declare.command("parameter")
@click.argument("component")
@click.argument("name")
@click.argument("value")
@vhost_option
@changes_broker
def declare_parameter(api: Api, component: str, name: str, value: str, vhost: str) -> None:
    """Set runtime parameter NAME of COMPONENT to VALUE, which is JSON."""
    try:
        decoded = json.loads(value)
    except ValueError as error:
        raise CommandFailed(f"VALUE: expected JSON: {error}") from None
    api.put(path_of("parameters", component, vhost, name), {"value": decoded})


@declare.command("vhost-limit")
@click.argument("vhost")
@click.argument("name", type=click.Choice(VHOST_LIMITS))
@click.argument("value", type=int)
@changes_broker
def declare_vhost_limit(api: Api, vhost: str, name: str, value: int) -> None:
    """Limit virtual host VHOST."""
    api.put(path_of("vhost-limits", vhost, name), {"value": value})


@declare.command("user-limit")
@click.argument("user")
@click.argument("name", type=click.Choice(USER_LIMITS))
@click.argument("value", type=int)
@changes_broker
def declare_user_limit(api: Api, user: str, name: str, value: int) -> None:
    """Limit user USER."""
    api.put(path_of("user-limits", user, name), {"value": value})


@click.group()
def delete() -> None:
    """Delete a queue, an exchange, a binding, a parameter or a limit."""


@delete.command("queue")
@click.argument("name")
@click.option("--if-empty", is_flag=True)
@click.option("--if-unused", is_flag=True)
@vhost_option
@changes_broker
def delete_queue(api: Api, name: str, if_empty: bool, if_unused: bool, vhost: str) -> None:
    """Delete queue NAME and the messages in it."""
    asked = [word for word, wanted in (("if-empty=true", if_empty), ("if-unused=true", if_unused)) if wanted]
    api.delete(path_of("queues", vhost, name) + ("?" + "&".join(asked) if asked else ""))


@delete.command("exchange")
@click.argument("name")
@click.option("--if-unused", is_flag=True)
@vhost_option
@changes_broker
def delete_exchange(api: Api, name: str, if_unused: bool, vhost: str) -> None:
    """Delete exchange NAME."""
    api.delete(path_of("exchanges", vhost, name) + ("?if-unused=true" if if_unused else ""))


@delete.command("binding")
@click.argument("source")
@click.argument("destination")
@click.argument("routing_key", default="")
@kind_option
@vhost_option
@changes_broker
def delete_binding(api: Api, source: str, destination: str, routing_key: str, to_exchange: bool, vhost: str) -> None:
    """Undo what binds DESTINATION to exchange SOURCE by ROUTING_KEY, whatever its arguments."""
    path = between(vhost, source, destination, to_exchange)
    found = [each for each in api.get(path) if each["routing_key"] == routing_key]
    if not found:
        raise CommandFailed(f"'{destination}' is not bound to '{source}' by '{routing_key}'")
    for each in found:
        api.delete(f"{path}/{path_of(each['properties_key'])}")


def between(vhost: str, source: str, destination: str, to_exchange: bool) -> str:
    """The path of the bindings between two."""
    return path_of("bindings", vhost, "e", source or "amq.default", "e" if to_exchange else "q", destination)


def deleter(name: str, path: str, help_text: str, *names: str) -> None:
    """A command below `delete` whose path is its arguments in order."""

    def deleted(api: Api, **arguments: str) -> None:
        api.delete(path_of(path, *(arguments[each] for each in names)))

    command: Callable[..., None] = changes_broker(deleted)
    for each in reversed(names):
        command = vhost_option(command) if each == "vhost" and path == "parameters" else click.argument(each)(command)
    delete.command(name, help=help_text)(command)


deleter("parameter", "parameters", "Forget runtime parameter NAME of COMPONENT.", "component", "vhost", "name")
deleter("vhost-limit", "vhost-limits", "Limit virtual host VHOST no more.", "vhost", "name")
deleter("user-limit", "user-limits", "Limit user USER no more.", "user", "name")

COMMANDS = (declare, delete)
"""Both are groups."""
