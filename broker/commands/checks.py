"""`hubbub ping`, `hubbub check …`, `hubbub alarms`, `hubbub listeners`, `hubbub memory`: is the broker well?

For scripts and supervisors: exit code 0 where it is, 1 where it is not, and one line that says why.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of
from broker.commands.tables import show

PING_TIMEOUT_S = 10.0


@click.command()
@json_option
@asks_broker
def ping(api: Api, as_json: bool) -> None:
    """Say whether the broker runs; no login is needed."""
    try:
        api.open(urllib.request.Request(f"{api.url}/health/live"), PING_TIMEOUT_S)
    except (urllib.error.HTTPError, ValueError) as error:
        raise CommandFailed(f"no broker answers on {api.url}: {error}") from None
    click.echo(json.dumps({"runs": True}) if as_json else "it runs")


@click.group()
def check() -> None:
    """Health checks: exit code 0 where all is well, else 1 and why."""


def add_check(name: str, path: str, help_text: str, *arguments: click.Argument) -> None:
    """One command below `check`; `path` has the arguments' places."""

    def checked(api: Api, as_json: bool, **given: Any) -> None:
        place = path.format(**{key: path_of(str(value)) for key, value in given.items()})
        found = api.health(f"health/checks/{place}")
        if as_json:
            click.echo(json.dumps(found, indent=2))
        else:
            click.echo("ok" if found["status"] == "ok" else failure(found), err=found["status"] != "ok")
        if found["status"] != "ok":
            raise click.exceptions.Exit(1)

    command: Callable[..., None] = json_option(asks_broker(checked))
    made = click.command(name, help=help_text)(command)
    made.params = [*arguments, *made.params]
    check.add_command(made)


def failure(found: dict[str, Any]) -> str:
    """Why a check fails, in one line."""
    details = [f"{key}={value}" for key, value in found.items() if key not in ("status", "reason")]
    return f"hubbub: {found.get('reason', 'the check failed')}" + (f" ({'; '.join(details)})" if details else "")


add_check("alarms", "alarms", "No alarm stands: publishers are let in.")
add_check("virtual-hosts", "virtual-hosts", "Every virtual host runs.")
add_check("in-service", "is-in-service", "Connections are accepted.")
add_check("connections", "below-node-connection-limit", "There is room for another connection.")
add_check("port", "port-listener/{port}", "Something listens on PORT.", click.Argument(["port"], type=int))
add_check("protocol", "protocol-listener/{protocol}", "PROTOCOL is spoken.", click.Argument(["protocol"]))
add_check(
    "certificates",
    "certificate-expiration/{within}/{unit}",
    "No certificate expires WITHIN so many UNITs: days, weeks, months or years.",
    click.Argument(["within"], type=int),
    click.Argument(["unit"], type=click.Choice(("days", "weeks", "months", "years"))),
)


@click.command()
@json_option
@asks_broker
def alarms(api: Api, as_json: bool) -> None:
    """Say which alarms stand, and why."""
    found = api.get("overview")["hubbub"]["alarms"]
    if not found and not as_json:
        click.echo("none")
        return
    show([{"alarm": name, "reason": why} for name, why in found.items()], ("alarm", "reason"), as_json)


@click.command()
@json_option
@asks_broker
def listeners(api: Api, as_json: bool) -> None:
    """List what is listened on."""
    show(api.get("overview")["listeners"], ("protocol", "ip_address", "port", "tls"), as_json)


@click.command()
@json_option
@asks_broker
def memory(api: Api, as_json: bool) -> None:
    """Say what the broker's memory is used for, in bytes."""
    (node,) = api.get("nodes")
    found = api.get(path_of("nodes", node["name"], "memory"))["memory"]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    rows = [*found["hubbub"].items(), ("other", found["other_system"]), ("total", found["total"]["rss"])]
    show([{"what": name.replace("_", " "), "bytes": count} for name, count in rows], ("what", "bytes"), False)


@click.command()
@json_option
@asks_broker
def whoami(api: Api, as_json: bool) -> None:
    """Say who is logged in, by which tags."""
    found = api.get("whoami")
    click.echo(json.dumps(found, indent=2) if as_json else f"{found['name']}: {', '.join(found['tags']) or 'no tags'}")


@click.command("cluster-name")
@click.argument("name", required=False)
@json_option
@asks_broker
def cluster_name(api: Api, name: str | None, as_json: bool) -> None:
    """Say the cluster's name, or give it another one."""
    if name is not None:
        api.put("cluster-name", {"name": name})
    found = api.get("cluster-name")
    click.echo(json.dumps(found) if as_json else found["name"])


COMMANDS = (ping, check, alarms, listeners, memory, whoami, cluster_name)
"""What watches, and changes nothing but the name."""
