"""`hubbub top`: what is going on, again and again, until Ctrl-C. On a terminal it is drawn in place."""

from __future__ import annotations

import json
import sys
import time
from typing import Any
from urllib.parse import urlencode

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from broker.commands.api import Api, asks_broker, json_option
from broker.commands.lists import duration
from broker.commands.tables import WIDTH_UNSEEN

SORTS = {
    "messages": "messages",
    "publish": "message_stats.publish_details.rate",
    "deliver": "message_stats.deliver_get_details.rate",
    "memory": "memory",
}
COLUMNS = (
    "vhost,name,messages_ready,messages_unacknowledged,consumers,memory,"
    "message_stats.publish_details.rate,message_stats.deliver_get_details.rate,message_stats.ack_details.rate"
)


@click.command()
@click.option("--interval", "interval_s", type=click.FloatRange(min=0.1), default=2.0, show_default=True)
@click.option("--count", type=click.IntRange(1), help="End after so many looks.")
@click.option("--sort", type=click.Choice(tuple(SORTS)), default="publish", show_default=True)
@click.option("--rows", type=click.IntRange(1, 500), default=20, show_default=True, help="Queues that are shown.")
@json_option
@asks_broker
def top(api: Api, interval_s: float, count: int | None, sort: str, rows: int, as_json: bool) -> None:
    """Show rates, memory, alarms and the busiest queues, every few seconds."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH_UNSEEN)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        looks = 0
        while True:
            seen = look(api, sort, rows)
            if as_json:
                click.echo(json.dumps(seen))
            elif console.is_terminal:
                live.update(drawn(seen), refresh=True)
            else:
                console.print(drawn(seen))
            looks += 1
            if looks == count:
                return
            try:
                time.sleep(interval_s)
            except KeyboardInterrupt:
                return


def look(api: Api, sort: str, rows: int) -> dict[str, Any]:
    """The broker's totals, its node, and a page of queues."""
    query = {"page": 1, "page_size": rows, "sort": SORTS[sort], "sort_reverse": "true", "columns": COLUMNS}
    return {
        "overview": api.get("overview"),
        "node": api.get("nodes")[0],
        "queues": api.get(f"queues?{urlencode(query)}")["items"],
    }


def drawn(seen: dict[str, Any]) -> RenderableType:
    """A look, for people."""
    overview, node = seen["overview"], seen["node"]
    totals, objects, stats = overview["queue_totals"], overview["object_totals"], overview["message_stats"]
    alarms = "; ".join(overview["hubbub"]["alarms"].values())
    rates = "  ".join(
        f"{word} {stats[f'{name}_details']['rate']:,.0f}/s"
        for word, name in (("published", "publish"), ("delivered", "deliver_get"), ("acknowledged", "ack"))
    )
    lines = [
        f"hubbub {overview['product_version']}  up {duration(overview['uptime'] / 1000)}  "
        f"memory {node['mem_used'] / 1e6:,.0f} MB of {node['mem_limit'] / 1e6:,.0f}  "
        f"disk free {node['disk_free'] / 1e9:,.1f} GB",
        f"{objects['connections']} connections  {objects['channels']} channels  {objects['queues']} queues  "
        f"{objects['consumers']} consumers  {overview['hubbub']['durability']}",
        f"{totals['messages_ready']:,} ready  {totals['messages_unacknowledged']:,} unacknowledged  {rates}",
    ]
    text = Text("\n".join(lines))
    if alarms:
        text.append(f"\nALARM: {alarms}", style="bold red")
    return Group(text, table_of(seen["queues"]))


def table_of(queues: list[dict[str, Any]]) -> Table:
    """The busiest queues."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("vhost", "queue"):
        table.add_column(column, overflow="fold")
    for column in ("ready", "unacked", "consumers", "publish/s", "deliver/s", "ack/s", "memory kB"):
        table.add_column(column, justify="right")
    for each in queues:
        stats = each["message_stats"]
        rates = (stats[f"{name}_details"]["rate"] for name in ("publish", "deliver_get", "ack"))
        counts = (each[name] for name in ("messages_ready", "messages_unacknowledged", "consumers"))
        numbers = (*map("{:,}".format, counts), *map("{:,.0f}".format, rates), f"{each['memory'] / 1000:,.0f}")
        table.add_row(each["vhost"], each["name"], *numbers)
    return table


COMMANDS = (top,)
"""One command."""
