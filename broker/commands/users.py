"""`hubbub user …`, `hubbub permission …`, `hubbub topic-permission …`: who there is, and what they may do."""

from __future__ import annotations

import click

from broker.commands.api import Api, changes_broker, path_of, vhost_option


@click.group()
def user() -> None:
    """Add, change and delete users."""


@user.command("add")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, help="administrator, monitoring, policymaker, management, impersonator.")
@click.password_option("--new-password", help="Asked for where it is not given.")
@changes_broker
def add_user(api: Api, name: str, tags: tuple[str, ...], new_password: str) -> None:
    """Create user NAME, or give an existing one this password and these tags."""
    api.put(path_of("users", name), {"password": new_password, "tags": list(tags)})


@user.command("tags")
@click.argument("name")
@click.argument("tags", nargs=-1)
@changes_broker
def set_tags(api: Api, name: str, tags: tuple[str, ...]) -> None:
    """Replace the tags of user NAME."""
    api.get(path_of("users", name))
    api.put(path_of("users", name), {"tags": list(tags)})


@user.command("password")
@click.argument("name")
@click.password_option("--new-password", help="Asked for where it is not given.")
@changes_broker
def set_password(api: Api, name: str, new_password: str) -> None:
    """Give user NAME another password; its tags stay."""
    tags = api.get(path_of("users", name))["tags"]
    api.put(path_of("users", name), {"password": new_password, "tags": tags})


@user.command("delete")
@click.argument("name")
@changes_broker
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
@changes_broker
def set_permission(api: Api, name: str, configure: str, write: str, read: str, vhost: str) -> None:
    """Let user NAME configure, write and read what matches three regular expressions."""
    api.put(path_of("permissions", vhost, name), {"configure": configure, "write": write, "read": read})


@permission.command("clear")
@click.argument("name")
@vhost_option
@changes_broker
def clear_permission(api: Api, name: str, vhost: str) -> None:
    """Shut user NAME out of the virtual host."""
    api.delete(path_of("permissions", vhost, name))


@click.group("topic-permission")
def topic_permission() -> None:
    """Say which topics a user may publish and read at a topic exchange."""


@topic_permission.command("set")
@click.argument("name")
@click.argument("exchange")
@click.argument("write")
@click.argument("read")
@vhost_option
@changes_broker
def set_topic_permission(api: Api, name: str, exchange: str, write: str, read: str, vhost: str) -> None:
    """Let user NAME write and read what matches two regular expressions at EXCHANGE.

    {username}, {vhost} and {client_id} stand for what they say.
    """
    body = {"exchange": exchange, "write": write, "read": read}
    api.put(path_of("topic-permissions", vhost, name), body)


@topic_permission.command("clear")
@click.argument("name")
@click.argument("exchange", required=False)
@vhost_option
@changes_broker
def clear_topic_permission(api: Api, name: str, exchange: str | None, vhost: str) -> None:
    """Let user NAME write and read every topic again, at EXCHANGE or at all exchanges."""
    api.delete(path_of("topic-permissions", vhost, name, *([exchange] if exchange is not None else [])))


COMMANDS = (user, permission, topic_permission)
