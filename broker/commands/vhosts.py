"""`hubbub vhost …`: virtual hosts."""

from __future__ import annotations

import click

from broker.commands.api import Api, changes_broker, path_of


@click.group()
def vhost() -> None:
    """Add and delete virtual hosts."""


@vhost.command("add")
@click.argument("name")
@click.option("--description", help="What it is for.")
@click.option("--tag", "tags", multiple=True)
@changes_broker
def add_vhost(api: Api, name: str, description: str | None, tags: tuple[str, ...]) -> None:
    """Create virtual host NAME, or say of one that is there what it is for."""
    said = {"description": description, "tags": list(tags) or None}
    api.put(path_of("vhosts", name), {key: value for key, value in said.items() if value is not None})


@vhost.command("delete")
@click.argument("name")
@click.confirmation_option(prompt="Everything in it goes. Delete it?")
@changes_broker
def delete_vhost(api: Api, name: str) -> None:
    """Delete virtual host NAME and everything in it."""
    api.delete(path_of("vhosts", name))


COMMANDS = (vhost,)
