"""`hubbub close-connection`: whom the operator wants to leave."""

from __future__ import annotations

import click

from broker.commands.api import Api, asks_broker, path_of


@click.command("close-connection")
@click.argument("name")
@click.option("--reason", default="closed by the operator", show_default=True)
@asks_broker
def close_connection(api: Api, name: str, reason: str) -> None:
    """Close connection NAME, as `hubbub list connections` names it."""
    api.request("DELETE", path_of("connections", name), headers={"X-Reason": reason})


COMMANDS = (close_connection,)
