"""`hubbub status` and `hubbub list …`: what there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import click

from broker.commands.api import Api, asks_broker, json_option, path_of
from broker.commands.tables import show

LISTED: dict[str, tuple[str, tuple[str, ...], bool]] = {
    # name: (path, columns, whether there is one per vhost)
    "queues": ("queues", ("vhost", "name", "type", "durable", "messages_ready", "messages_unacknowledged",
                          "consumers", "policy"), True),
    "exchanges": ("exchanges", ("vhost", "name", "type", "durable", "auto_delete", "internal", "policy"), True),
    "bindings": ("bindings", ("vhost", "source", "destination_type", "destination", "routing_key", "arguments"), True),
    "connections": ("connections", ("name", "user", "vhost", "protocol", "state", "channels", "ssl"), False),
    "channels": ("channels", ("name", "user", "vhost", "consumer_count", "messages_unacknowledged",
                              "prefetch_count", "confirm"), False),
    "consumers": ("consumers", ("queue.vhost", "queue.name", "consumer_tag", "ack_required", "prefetch_count",
                                "active"), True),
    "vhosts": ("vhosts", ("name", "messages_ready", "messages_unacknowledged"), False),
    "users": ("users", ("name", "tags"), False),
    "permissions": ("permissions", ("user", "vhost", "configure", "write", "read"), False),
    "topic-permissions": ("topic-permissions", ("user", "vhost", "exchange", "write", "read"), False),
    "policies": ("policies", ("vhost", "name", "pattern", "apply-to", "priority", "definition"), True),
    "operator-policies": ("operator-policies", ("vhost", "name", "pattern", "priority", "definition"), True),
    "parameters": ("parameters", ("component", "vhost", "name", "value"), False),
}  # fmt: skip


@click.command()
@asks_broker
@json_option
def status(api: Api, as_json: bool) -> None:
    """Say how the broker is."""
    overview = api.get("overview")
    if as_json:
        click.echo(json.dumps(overview, indent=2))
        return
    own, totals, objects = overview["hubbub"], overview["queue_totals"], overview["object_totals"]
    lines = {
        "version": overview["product_version"],
        "up": duration(overview["uptime"] / 1000),
        "durability": own["durability"],
        "alarms": "; ".join(own["alarms"].values()) or "none",
        "messages": f"{totals['messages_ready']} ready, {totals['messages_unacknowledged']} unacknowledged",
        "objects": ", ".join(f"{count} {name}" for name, count in objects.items()),
        "listeners": ", ".join(f"{each['protocol']} {each['port']}" for each in overview["listeners"]),
        "unaccounted": own["ledger"].get("unaccounted", 0),
    }
    for name, value in lines.items():
        click.echo(f"{name + ':':<14}{value}")


@click.group("list")
def list_group() -> None:
    """List what there is: tables for people, --json for scripts."""


def add_list(name: str, path: str, columns: tuple[str, ...], of_vhost: bool) -> None:
    """One command below `list`."""

    def listed(
        api: Api,
        as_json: bool,
        chosen: str | None,
        sort: str | None,
        name: str | None = None,
        vhost: str | None = None,
    ) -> None:
        place = f"{path}/{path_of(vhost)}" if vhost is not None else path
        query = {"name": name, "use_regex": "true" if name else None, "columns": chosen if as_json else None}
        if sort:
            query |= {"sort": sort.removeprefix("-"), "sort_reverse": str(sort.startswith("-")).lower()}
        asked = urlencode({key: value for key, value in query.items() if value is not None})
        show(api.get(f"{place}?{asked}"), chosen.split(",") if chosen else columns, as_json)

    command: Callable[..., None] = json_option(listed)
    command = click.option("--sort", help="By this column; with - before it, the greatest first.")(command)
    command = click.option("--columns", "chosen", help="name,messages,message_stats.publish_details.rate")(command)
    if "name" in columns:
        command = click.option("--name", help="Only those whose name this regular expression finds.")(command)
    if of_vhost:
        command = click.option("--vhost", default=None, help="Only those of this virtual host.")(command)
    list_group.command(name, help=f"List {name.replace('-', ' ')}.")(asks_broker(command))


for each_name, (each_path, each_columns, each_of_vhost) in LISTED.items():
    add_list(each_name, each_path, each_columns, each_of_vhost)


def duration(seconds: float) -> str:
    """`3 d 4 h`, `5 min 6 s`."""
    parts: list[Any] = []
    rest = int(seconds)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, rest = divmod(rest, size)
        if count or (unit == "s" and not parts):
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


COMMANDS = (status, list_group)
