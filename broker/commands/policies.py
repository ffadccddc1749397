"""`hubbub policy …`: arguments of queues and exchanges, by pattern."""

from __future__ import annotations

import json

import click

from broker.commands.api import Api, CommandFailed, changes_broker, path_of, vhost_option

APPLY_TO = ("all", "queues", "classic_queues", "quorum_queues", "exchanges")


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
@changes_broker
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
@changes_broker
def clear_policy(api: Api, name: str, operator: bool, vhost: str) -> None:
    """Forget policy NAME."""
    api.delete(path_of(policies(operator), vhost, name))


def policies(operator: bool) -> str:
    """The path of one kind of policies."""
    return "operator-policies" if operator else "policies"


COMMANDS = (policy,)
