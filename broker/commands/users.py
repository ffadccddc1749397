"""`hubbub user …` and `hubbub permission …`: who there is, and what they may do in a virtual host."""

from __future__ import annotations

import click

from broker.commands.api import Api, asks_broker, path_of, vhost_option


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


@user.command("password")
@click.argument("name")
@click.password_option("--new-password", help="Asked for where it is not given.")
@asks_broker
def set_password(api: Api, name: str, new_password: str) -> None:
    """Give user NAME another password; its tags stay."""
    tags = api.get(path_of("users", name))["tags"]
    api.put(path_of("users", name), {"password": new_password, "tags": tags})


@user.command("delete")
@click.argument("name")
@asks_broker
def delete_user(api: Api, name: str) -> None:
    """Delete user NAME; its connections are closed."""
    api.delete(path_of("users", name))


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


COMMANDS = (user, permission)
