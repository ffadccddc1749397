"""`hubbub close-connection`: whom the operator wants to leave."""

from __future__ import annotations

import click

from broker.commands.api import Api, changes_broker, path_of


@click.command("close-connection")
@click.argument("name", required=False)
@click.option("--of-user", help="All connections of this user.")
@click.option("--reason", default="closed by the operator", show_default=True)
@changes_broker
def close_connection(api: Api, name: str | None, of_user: str | None, reason: str) -> None:
    """Close connection NAME, as `hubbub list connections` names it, or all of one user."""
    if (name is None) == (of_user is None):
        raise click.UsageError("expected NAME, or --of-user")
    path = path_of("connections", name) if name is not None else path_of("connections", "username", str(of_user))
    api.request("DELETE", path, headers={"X-Reason": reason})


COMMANDS = (close_connection,)
