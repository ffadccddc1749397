"""RabbitMQ's definitions (`rabbitmqctl export_definitions`, `GET /api/definitions`) for Hubbub.

Owns what of them is taken as it is, what is taken and does less, and what is not taken, each with a sentence. Refuses
to know how they get into a broker: `hubbub definitions import` brings what comes out of here.

Invariant: what comes out names nothing that is not there: a binding whose exchange was left out is left out, too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from broker.core.arguments import CLASSIC, QUEUE_ARGUMENTS, QUORUM, STREAM
from broker.core.errors import CoreError
from broker.core.exchange_types import exchange_class
from broker.core.policy import KEYS, WITHOUT_EFFECT
from broker.importers.findings import Imported, ImportFailedError

Row = dict[str, Any]

HASHES = ("rabbit_password_hashing_sha256", "rabbit_password_hashing_sha512")
WITHOUT_EFFECT_ARGUMENTS = {
    "x-queue-mode", "x-queue-version", "x-queue-master-locator", "x-queue-leader-locator", "x-dead-letter-strategy",
    "x-max-in-memory-length", "x-max-in-memory-bytes", "x-quorum-initial-group-size",
}  # fmt: skip
LIMITS = {"vhost-limits": ("max-connections", "max-queues")}
COMPONENTS_WITHOUT_EFFECT = {
    "shovel": "no shovel runs here: kept, and not obeyed",
    "federation-upstream": "there is no federation here: kept, and not obeyed",
    "federation": "there is no federation here: kept, and not obeyed",
    "federation-upstream-set": "there is no federation here: kept, and not obeyed",
}
SECTIONS = (
    "vhosts", "users", "permissions", "topic_permissions", "parameters", "global_parameters", "policies",
    "operator_policies", "exchanges", "queues", "bindings",
)  # fmt: skip
NAMED = {"name", "vhost"}
WORDS: dict[str, set[str]] = {
    "vhosts": {"name", "description", "tags", "metadata", "default_queue_type", "tracing", "limits",
               "protected_from_deletion"},
    "users": {"name", "password", "password_hash", "hashing_algorithm", "tags", "limits"},
    "permissions": {"user", "vhost", "configure", "write", "read"},
    "topic_permissions": {"user", "vhost", "exchange", "write", "read"},
    "parameters": {*NAMED, "component", "value"},
    "global_parameters": {*NAMED, "value"},
    "policies": {*NAMED, "pattern", "apply-to", "definition", "priority"},
    "operator_policies": {*NAMED, "pattern", "apply-to", "definition", "priority"},
    "exchanges": {*NAMED, "type", "durable", "auto_delete", "internal", "arguments"},
    "queues": {*NAMED, "type", "durable", "auto_delete", "exclusive", "arguments"},
    "bindings": {"vhost", "source", "destination", "destination_type", "routing_key", "arguments", "properties_key"},
}  # fmt: skip
"""Of a row of each section."""
ABOUT = ("rabbit_version", "rabbitmq_version", "product_name", "product_version", "rabbitmq_definition_format",
         "original_vhost_name", "explanation", "original_cluster_name", "metadata", "description",
         "default_queue_type")  # fmt: skip
"""What a document says of itself."""


def read(path: Path) -> Imported:
    """What the file has, as Hubbub takes it. Raises ImportFailedError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ImportFailedError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ImportFailedError(f"{path}: expected JSON: {error}") from None
    if not isinstance(document, dict):
        raise ImportFailedError(f"{path}: expected an object of definitions")
    if not any(section in document for section in SECTIONS):
        raise ImportFailedError(f"{path}: expected one of {', '.join(SECTIONS)}")
    imported = Imported()
    for name in document:
        if name not in SECTIONS and name not in ABOUT:
            imported.say(name, "section", "unknown: not taken")
    for section in SECTIONS:
        rows = document.get(section, [])
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ImportFailedError(f"{path}: {section}: expected a list of objects")
        taken = TAKERS.get(section, as_it_is)
        for word in sorted({word for row in rows for word in row} - WORDS[section]):
            imported.say(section, word, "is not known: not taken")
        imported.definitions[section] = [each for row in rows if (each := taken(imported, row)) is not None]
    return imported


def as_it_is(_imported: Imported, row: Row) -> Row:
    """There is nothing to say of it."""
    return row


def vhost(imported: Imported, row: Row) -> Row | None:
    """Its name, what it is for, and its tags; limits stand among the parameters."""
    name, metadata = str(row.get("name")), row.get("metadata")
    said = {**(metadata if isinstance(metadata, dict) else {}), **{key: row[key] for key in row if row[key]}}
    if said.get("default_queue_type", "classic") not in ("classic", "undefined", None):
        kind = said["default_queue_type"]
        imported.say("vhosts", name, f"default_queue_type {kind}: a queue that names no type is a classic one here")
    if said.get("tracing"):
        imported.say("vhosts", name, "tracing is off after the import")
    if said.get("protected_from_deletion"):
        imported.say("vhosts", name, "protected_from_deletion is not kept")
    return {"name": row.get("name"), **{key: said[key] for key in ("description", "tags") if said.get(key)}}


def user(imported: Imported, row: Row) -> Row | None:
    """With a hash that can be verified."""
    algorithm = row.get("hashing_algorithm", HASHES[0])
    if row.get("password_hash") and "password" not in row and algorithm not in HASHES:
        imported.say("users", str(row.get("name")), f"hashed by {algorithm}: not taken, give it a password anew")
        return None
    if row.get("password_hash") == "":
        imported.say("users", str(row.get("name")), "has no password: a certificate, or no login")
    return row


def parameter(imported: Imported, row: Row) -> Row | None:
    """Limits count; what belongs to a plugin is kept."""
    component, name = str(row.get("component")), f"{row.get('component')} {row.get('name')}"
    if component == "operator_policy" and isinstance(row.get("value"), dict):
        value = policy(imported, {**row["value"], "name": row.get("name"), "vhost": row.get("vhost")})
        return {**row, "value": {key: value[key] for key in row["value"]}} if value is not None else None
    if component in COMPONENTS_WITHOUT_EFFECT:
        imported.say("parameters", name, COMPONENTS_WITHOUT_EFFECT[component])
    for word in row.get("value", {}) if component in LIMITS and isinstance(row.get("value"), dict) else ():
        if word not in LIMITS[component]:
            imported.say("parameters", name, f"there is no limit {word}: not taken")
            row = {**row, "value": {key: value for key, value in row["value"].items() if key != word}}
    return row


def global_parameter(imported: Imported, row: Row) -> Row | None:
    """What is RabbitMQ's own housekeeping stays there."""
    name = str(row.get("name"))
    return None if name.startswith(("internal_", "cluster_")) or name == "mqtt_default_vhosts" else row


def policy(imported: Imported, row: Row) -> Row | None:
    """Its words one by one."""
    definition = row.get("definition")
    if isinstance(definition, list):  # so RabbitMQ's export has those of operators
        definition = dict(definition)
    if not isinstance(definition, dict):
        imported.say("policies", str(row.get("name")), "has no definition: not taken")
        return None
    name = f"{row.get('name')} in {row.get('vhost')}"
    kept = {}
    for word, value in definition.items():
        if word in WITHOUT_EFFECT:
            imported.say("policies", name, f"{word} means nothing on one node: kept, and not obeyed")
        elif word not in KEYS:
            imported.say("policies", name, f"{word} is not known: not taken")
            continue
        elif KEYS[word].wrong(value) is not None:
            imported.say("policies", name, f"{word}: {KEYS[word].wrong(value)}: not taken")
            continue
        kept[word] = value
    if not kept:
        imported.say("policies", name, "nothing of it is left: not taken")
        return None
    return {**row, "definition": kept}


def exchange(imported: Imported, row: Row) -> Row | None:
    """Of a type that is there."""
    arguments = row.get("arguments") or {}
    try:
        exchange_class(str(row.get("type")), arguments)
    except CoreError as error:
        imported.say("exchanges", f"{row.get('name')} in {row.get('vhost')}", f"{error.text}: not taken")
        return None
    return row


def queue(imported: Imported, row: Row) -> Row | None:
    """Of a type that is there, with arguments that are known."""
    name, arguments = f"{row.get('name')} in {row.get('vhost')}", dict(row.get("arguments") or {})
    kind = arguments.get("x-queue-type", row.get("type", CLASSIC))
    if kind == STREAM:
        imported.say("queues", name, "streams are not there: not taken")
        return None
    if kind not in QUEUE_ARGUMENTS:
        imported.say("queues", name, f"there is no queue type {kind}: not taken")
        return None
    if kind == QUORUM:
        arguments["x-queue-type"] = QUORUM
        imported.say(
            "queues",
            name,
            "a quorum queue is a durable queue of this one node; its delivery limit is 20 where it names none",
        )
    for word in list(arguments):
        if word in WITHOUT_EFFECT_ARGUMENTS:
            imported.say("queues", name, f"{word} means nothing on one node: kept, and not obeyed")
        elif word not in QUEUE_ARGUMENTS[kind]:
            imported.say("queues", name, f"{word} is not known: kept, and not obeyed")
    return {**{word: value for word, value in row.items() if word != "type"}, "arguments": arguments}


def binding(imported: Imported, row: Row) -> Row | None:
    """Between two that are there."""
    place = row.get("vhost")
    ends = (("exchanges", row.get("source")), (f"{row.get('destination_type')}s", row.get("destination")))
    for section, name in ends:
        known = {(each.get("vhost"), each.get("name")) for each in imported.definitions.get(section, ())}
        if not (section == "exchanges" and (not name or str(name).startswith("amq."))) and (place, name) not in known:
            what = f"{row.get('source')} to {row.get('destination')} in {place}"
            imported.say("bindings", what, f"{section[:-1]} '{name}' is not taken, nor is this")
            return None
    return row


TAKERS: dict[str, Callable[[Imported, Row], Row | None]] = {
    "vhosts": vhost,
    "users": user,
    "parameters": parameter,
    "global_parameters": global_parameter,
    "policies": policy,
    "operator_policies": policy,
    "exchanges": exchange,
    "queues": queue,
    "bindings": binding,
}
