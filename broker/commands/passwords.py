"""`hubbub hash-password`: a line of a password file. It asks no broker."""

from __future__ import annotations

import json

import click
from argon2 import PasswordHasher

from broker.commands.api import json_option


@click.command("hash-password")
@click.argument("name")
@click.option("--tag", "tags", multiple=True, help="administrator, monitoring, policymaker, management, impersonator.")
@click.password_option("--new-password", help="Asked for where it is not given.")
@json_option
def hash_password(name: str, tags: tuple[str, ...], new_password: str, as_json: bool) -> None:
    """Write the line of user NAME for `authentication.password_file`: hubbub hash-password ann >>FILE."""
    if not name or ":" in name or name.startswith("#") or any("," in tag or ":" in tag for tag in tags):
        raise click.UsageError("a name has no ':' in it and does not begin with '#', a tag has no ',' and no ':'")
    line = ":".join((name, PasswordHasher().hash(new_password), *((",".join(tags),) if tags else ())))
    click.echo(json.dumps({"line": line}) if as_json else line)


COMMANDS = (hash_password,)
"""One command."""
