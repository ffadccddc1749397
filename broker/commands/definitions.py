"""`hubbub definitions`: everything that is declared, out and in; in as a difference to what is there.

An import can first be looked at (`--dry-run`), and can remove what the file lacks (`--prune`): then the file is the
whole truth about exchanges, queues, bindings, policies, vhosts and users.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from broker.commands.api import Api, CommandFailed, asks_broker, json_option, path_of
from broker.commands.progress import progress

Row = dict[str, Any]
Rows = list[tuple[str, Row]]
"""With their sections."""
Key = tuple[str, ...]

# In the order in which they may be added; what is removed goes in the reverse.
SECTIONS: dict[str, tuple[str, ...]] = {
    "vhosts": ("name",),
    "users": ("name",),
    "permissions": ("user", "vhost"),
    "topic_permissions": ("user", "vhost", "exchange"),
    "mqtt_acls": ("vhost", "permission", "action", "topic", "user"),
    "global_parameters": ("name",),
    "parameters": ("component", "vhost", "name"),
    "policies": ("vhost", "name"),
    "operator_policies": ("vhost", "name"),
    "exchanges": ("vhost", "name"),
    "queues": ("vhost", "name"),
    "bindings": ("vhost", "source", "destination_type", "destination", "routing_key", "arguments"),
}
MANY = ("exchanges", "queues", "bindings")
"""In the order in which they need each other."""
SLICE = 1000
"""Rows of one request."""
ACLS = "mqtt_acls"
"""An ordered list in each vhost."""
DEFAULTS: dict[str, Any] = {"arguments": {}, "action": "all", "user": None}
"""What a row means that does not say it."""
HOUSEKEEPING = ("internal_", "cluster_")
"""Global parameters that stay with their broker."""
OPERATOR_POLICY = "operator_policy"
NOT_COMPARED = {"password_hash", "hashing_algorithm"}
"""A user's hash differs whenever it was set: the same password may have another one."""


@click.group()
def definitions() -> None:
    """Export and import everything that is declared, in RabbitMQ's format."""


@definitions.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True))
@json_option
@asks_broker
def export_definitions(api: Api, file: Path, as_json: bool) -> None:
    """Write all definitions to FILE; - for standard output."""
    text = json.dumps(api.get("definitions"), indent=2, sort_keys=True) + "\n"
    if str(file) == "-":
        sys.stdout.write(text)
    else:
        file.write_text(text)
        click.echo(json.dumps({"file": str(file)}) if as_json else f"written to {file}")


@definitions.command("import")
@click.argument("file", type=click.File())
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--prune", is_flag=True, help="Also remove what FILE does not have.")
@json_option
@asks_broker
def import_definitions(api: Api, file: Any, dry_run: bool, prune: bool, as_json: bool) -> None:
    """Bring the broker to what FILE says; - for standard input."""
    try:
        wanted = json.load(file)
    except ValueError as error:
        raise CommandFailed(f"{file.name}: expected JSON: {error}") from None
    if not isinstance(wanted, dict):
        raise CommandFailed(f"{file.name}: expected an object of definitions")
    found, wanted = unfolded(api.get("definitions")), unfolded(wanted)
    added, changed, extra = difference(found, wanted)
    say_difference(added, changed, extra, prune, as_json)
    if dry_run:
        return
    parts = list(pieces(wanted))
    with progress("definitions", sum(count for _, count in parts)) as advance:
        for part, count in parts:
            api.post("definitions", part)
            advance(count)
    if prune:
        remove(api, extra)


def say_difference(added: Rows, changed: Rows, extra: Rows, prune: bool, as_json: bool) -> None:
    """What an import does, or would do."""
    removed = extra if prune else []
    if as_json:
        found = {"added": added, "changed": changed, "removed": removed, "kept": [] if prune else extra}
        click.echo(json.dumps({word: [{section: row} for section, row in rows] for word, rows in found.items()}))
        return
    for sign, rows in (("+", added), ("~", changed), ("-", removed)):
        for section, row in rows:
            click.echo(f"{sign} {section[:-1].replace('_', ' ')} {title(section, row)}")
    if extra and not prune:
        click.echo(f"{len(extra)} more are there and not in the file; --prune would remove them")
    if not (added or changed or removed):
        click.echo("nothing to change")


def pieces(document: Row) -> Iterator[tuple[Row, int]]:
    """The document in parts that can go in one after the other, each with its rows: what may be much, in slices."""
    first = {name: rows for name, rows in document.items() if name not in MANY}
    yield first, sum(len(rows) for rows in first.values() if isinstance(rows, list))
    for section in MANY:
        rows = document.get(section, [])
        for start in range(0, len(rows), SLICE):
            part = rows[start : start + SLICE]
            yield {section: part}, len(part)


def unfolded(document: Row) -> Row:
    """The document with operator policies in a section of their own: RabbitMQ has them among the parameters."""
    if "global_parameters" in document:
        own = [row for row in document["global_parameters"] if not str(row.get("name")).startswith(HOUSEKEEPING)]
        document = {**document, "global_parameters": own}
    parameters = [row for row in document.get("parameters", []) if isinstance(row, dict)]
    folded = [row for row in parameters if row.get("component") == OPERATOR_POLICY]
    if not folded:
        return document
    own = [{"vhost": row["vhost"], "name": row["name"], **row["value"]} for row in folded]
    return {
        **document,
        "parameters": [row for row in parameters if row.get("component") != OPERATOR_POLICY],
        "operator_policies": [*document.get("operator_policies", []), *own],
    }


def key_of(section: str, row: Row) -> Key:
    """What tells a row from the others of its section."""
    defaults = DEFAULTS if section in ("bindings", ACLS) else {}
    return tuple(json.dumps(row.get(name, defaults.get(name, "")), sort_keys=True) for name in SECTIONS[section])


def difference(found: Row, wanted: Row) -> tuple[Rows, Rows, Rows]:
    """(added, changed, extra): rows with their section, in the order of SECTIONS."""
    added: Rows = []
    changed: Rows = []
    extra: Rows = []
    for section in SECTIONS:
        here = {key_of(section, row): row for row in found.get(section, [])}
        there = {key_of(section, row): row for row in wanted.get(section, [])}
        for key, row in there.items():
            if key not in here:
                added.append((section, row))
            elif any(here[key].get(name) != value for name, value in row.items() if name not in NOT_COMPARED):
                changed.append((section, row))
        if section == ACLS:
            changed.extend((section, there[key]) for key in moved(list(here), list(there)))
        if section in wanted:
            extra.extend((section, row) for key, row in here.items() if key not in there)
    return added, changed, extra


def moved(here: list[Key], there: list[Key]) -> list[Key]:
    """Rules that are in both and stand elsewhere: those of a vhost, from the first that differs on."""
    found: list[Key] = []
    for vhost in dict.fromkeys(key[0] for key in there):
        before = [key for key in here if key[0] == vhost and key in there]
        after = [key for key in there if key[0] == vhost and key in here]
        first = next((at for at, key in enumerate(after) if before[at] != key), len(after))
        found += after[first:]
    return found


def title(section: str, row: Row) -> str:
    """A row for people."""
    if section == "bindings":
        return f"{row['source']} → {row['destination']} by '{row.get('routing_key', '')}' in {row['vhost']}"
    if section == "permissions":
        return f"of {row['user']} in {row['vhost']}"
    if section == ACLS:
        user = f" for {row['user']}" if row.get("user") else ""
        return f"{row['permission']} {row.get('action', 'all')} {row['topic']}{user} in {row['vhost']}"
    if section == "topic_permissions":
        return f"of {row['user']} at {row['exchange'] or 'the nameless exchange'} in {row['vhost']}"
    return f"{row['name']} in {row['vhost']}" if "vhost" in row else str(row["name"])


def remove(api: Api, extra: Iterable[tuple[str, Row]]) -> None:
    """Remove what is too much: bindings before queues, all before their vhost."""
    for section, row in reversed(list(extra)):
        REMOVERS[section](api, row)


def remove_binding(api: Api, row: Row) -> None:
    """A binding is named by its properties, which the API tells."""
    kind = "q" if row["destination_type"] == "queue" else "e"
    between = path_of("bindings", row["vhost"], "e", row["source"], kind, row["destination"])
    for each in api.get(between):
        if key_of("bindings", each) == key_of("bindings", row):
            api.delete(f"{between}/{path_of(each['properties_key'])}")


def remove_acl(api: Api, row: Row) -> None:
    """A rule is named by its number, which changes when another one goes."""
    path = path_of("hubbub", "mqtt", "acls", row["vhost"])
    for each in api.get(path)["rules"]:
        if each["number"] is not None and key_of(ACLS, each) == key_of(ACLS, row):
            api.delete(f"{path}/{each['number']}")
            return


def remover(path: str, *names: str) -> Callable[[Api, Row], None]:
    """Deletes what a path and some of the row's fields name."""
    return lambda api, row: api.delete(path_of(path, *(row[name] for name in names)))


REMOVERS: dict[str, Callable[[Api, Row], None]] = {
    "vhosts": remover("vhosts", "name"),
    "users": remover("users", "name"),
    "permissions": remover("permissions", "vhost", "user"),
    "topic_permissions": lambda api, row: api.delete(
        path_of("topic-permissions", row["vhost"], row["user"], row["exchange"] or "amq.default")
    ),
    "mqtt_acls": remove_acl,
    "global_parameters": remover("global-parameters", "name"),
    "parameters": remover("parameters", "component", "vhost", "name"),
    "policies": remover("policies", "vhost", "name"),
    "operator_policies": remover("operator-policies", "vhost", "name"),
    "exchanges": remover("exchanges", "vhost", "name"),
    "queues": remover("queues", "vhost", "name"),
    "bindings": remove_binding,
}

COMMANDS = (definitions,)
