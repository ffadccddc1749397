"""`/api/definitions`: everything that is declared, out and in, in RabbitMQ's format.

Import adds and changes, and removes nothing. It is checked as a whole first, so that a document with a mistake changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

import msgspec
from aiohttp import web

from broker.core.binding import EXCHANGE, QUEUE
from broker.core.errors import InvalidPath, NotFound
from broker.core.shares import SHARE_PREFIX
from broker.management import views
from broker.management.asked import (
    ADMINISTRATOR,
    decoded,
    field,
    flag,
    kind,
    needs,
    object_of,
    require,
    text_of,
    vhost_of,
)
from broker.management.observed import ObservedServer
from broker.management.replies import bad_request
from broker.management.resources.policies import policy, policy_of
from broker.management.resources.topic_permissions import exchange_of, topic_permissions
from broker.management.resources.users import SHA256, tags_of
from broker.management.resources.vhosts import describe, described, description_of, permission
from broker.management.slices import answer_object, done, sliced
from broker.version import VERSION

POLICY = ("pattern", "definition")
ACLS = "mqtt_acls"
"""A section that RabbitMQ does not have, and passes over."""
ACL_WORDS = {"permission": None, "action": "all", "topic": None, "user": None}
"""What a rule has, and what it means where it says nothing."""
KEEP_VHOST = ("parameters", "policies")
"""RabbitMQ leaves the vhost out of one vhost's other sections."""
NOT_JSON = "failed_to_parse_json"
OPERATOR_POLICY = "operator_policy"
"""The component under which RabbitMQ keeps them."""
MADE_UP = "amq.gen-"
"""How names begin that the broker made up: nobody may declare such a queue, but definitions hold those that stay."""
COMPATIBLE_VERSION = "3.13.0"
"""The RabbitMQ release whose format this is: importers look at it."""


Step = Callable[[dict[str, Any]], Iterator[None] | None]
"""Takes a row; what comes back is more work, in steps."""


class Definitions:
    """Export and import."""

    def __init__(self, server: ObservedServer) -> None:
        self.server = server

    def routes(self) -> list[web.RouteDef]:
        """Paths and methods."""
        return [
            web.get("/api/definitions", self.export_all),
            web.get("/api/all-configuration", self.export_all),
            web.post("/api/all-configuration", self.import_all),
            web.post("/api/definitions", self.import_all),
            web.get("/api/definitions/{vhost}", self.export_vhost),
            web.post("/api/definitions/{vhost}", self.import_vhost),
        ]

    # ── out ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def export_all(self, request: web.Request) -> web.Response:
        """Of the whole broker, users included."""
        require(request, {ADMINISTRATOR})
        broker = self.server.broker
        vhosts = list(broker.vhosts.values())
        users = list(broker.access.users.values())
        exported: dict[str, Any] = {
            "rabbit_version": COMPATIBLE_VERSION,
            "rabbitmq_version": COMPATIBLE_VERSION,
            "product_name": "Hubbub",
            "product_version": VERSION,
            "users": [
                {
                    "name": user.name,
                    "password_hash": user.password_hash,
                    "hashing_algorithm": user.algorithm,
                    "tags": list(user.tags),
                    "limits": broker.parameters.user_limits.get(user.name, {}),
                }
                for user in users
            ],
            "vhosts": [{"name": vhost.name, **described(vhost)} for vhost in vhosts],
            "permissions": [permission(user, vhost) for user in users for vhost in user.permissions],
            "topic_permissions": [row for user in users for row in topic_permissions(broker.access, user.name)],
            "parameters": [row for vhost in vhosts for row in self.parameters_of(vhost)],
            "global_parameters": [
                {"name": name, "value": value} for (_, _, name), value in broker.parameters.find("", "")
            ],
        }
        exported[ACLS] = [row for vhost in vhosts for row in self.acls_of(vhost)]
        large = {name: chain.from_iterable(map(make, vhosts)) for name, make in SECTIONS.items()}
        return answer_object(exported, large)

    async def export_vhost(self, request: web.Request) -> web.Response:
        """Of one vhost, without its name."""
        require(request, {ADMINISTRATOR})
        if request.match_info["vhost"] not in self.server.broker.vhosts:
            raise bad_request("vhost_not_found")
        vhost = vhost_of(self.server, request)
        sections = {"parameters": self.parameters_of, ACLS: self.acls_of, **SECTIONS}
        return answer_object(
            {"rabbit_version": COMPATIBLE_VERSION},
            {
                name: make(vhost) if name in KEEP_VHOST else map(without_vhost, make(vhost))
                for name, make in sections.items()
            },
        )

    def parameters_of(self, vhost: Any) -> Iterator[dict[str, Any]]:
        """Of one vhost: its limits and its operator policies are among them, as RabbitMQ has it."""
        parameters = self.server.broker.parameters
        for (component, _, name), value in parameters.find(None, vhost.name):
            yield {"component": component, "vhost": vhost.name, "name": name, "value": value}
        limits = parameters.vhost_limits.get(vhost.name)
        if limits:
            yield {"component": "vhost-limits", "vhost": vhost.name, "name": "limits", "value": limits}
        for each in list(vhost.policies.operator_by_name.values()):
            row = policy(vhost.name, each)
            value = {word: row[word] for word in ("pattern", "apply-to", "definition", "priority")}
            yield {"component": OPERATOR_POLICY, "vhost": vhost.name, "name": each.name, "value": value}

    def acls_of(self, vhost: Any) -> Iterator[dict[str, Any]]:
        """MQTT's access rules of one vhost, in order; those of the configuration stay there."""
        for row in self.server.observed_mqtt.acls(vhost.name):
            if row["number"] is not None:
                yield {"vhost": vhost.name, **{word: row[word] for word in ACL_WORDS}}

    # ── in ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def import_all(self, request: web.Request) -> web.Response:
        """What is there already and the same is left alone."""
        require(request, {ADMINISTRATOR})
        await self.take(await text_of(request, NOT_JSON), None)
        return web.Response(status=204)

    async def import_vhost(self, request: web.Request) -> web.Response:
        """Into one vhost."""
        require(request, {ADMINISTRATOR})
        await self.take(await text_of(request, NOT_JSON), vhost_of(self.server, request).name)
        return web.Response(status=204)

    async def take(self, text: str, vhost: str | None) -> None:
        """All sections, in the order in which they need each other. CoreError says what was refused."""
        steps: dict[str, Step] = {
            "vhosts": self.take_vhost,
            "users": self.take_user,
            "permissions": self.take_permission,
            "topic_permissions": self.take_topic_permission,
            "parameters": self.take_parameter,
            "global_parameters": self.take_global,
            "policies": self.take_policy,
            "operator_policies": self.take_operator_policy,
            "exchanges": self.take_exchange,
            "queues": self.take_queue,
            "bindings": self.take_binding,
        }
        of_vhosts = {ACLS, "parameters", "policies", "operator_policies", "exchanges", "queues", "bindings"}
        sections = sections_of(text)
        rows: list[tuple[Step, dict[str, Any]]] = []
        for name, step in steps.items():
            if vhost is None or name in of_vhosts:
                found = await sliced(row_of(name, raw, vhost) for raw in raw_rows(sections, name))
                rows += [(step, row) for row in found]
        await done(taking(rows))
        self.take_acls([row_of(ACLS, raw, vhost) for raw in raw_rows(sections, ACLS)])

    def take_acls(self, rows: list[dict[str, Any]]) -> None:
        """In their order, in front of those that a vhost has besides: the first that fits decides."""
        by_vhost: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            try:
                vhost = self.vhost(row).name
            except InvalidPath as error:
                raise bad_request(error.text) from None
            by_vhost.setdefault(vhost, []).append(row)
        for name, wanted in by_vhost.items():
            known = [tuple(row.get(word, ACL_WORDS[word]) for word in ACL_WORDS) for row in wanted]
            kept = [
                row
                for row in self.acls_of(self.server.broker.vhost(name))
                if tuple(row[word] for word in ACL_WORDS) not in known
            ]
            try:
                self.server.observed_mqtt.set_acls(name, [*wanted, *kept])
            except ValueError as error:
                raise bad_request(f"{ACLS}: {error}") from None

    def vhost(self, row: dict[str, Any]) -> Any:
        """The vhost of a row."""
        return self.server.broker.vhost(field(row, "vhost", str))

    def take_vhost(self, row: dict[str, Any]) -> None:
        """`name`, `description`, `tags`."""
        broker, description = self.server.broker, description_of(row)
        describe(broker, broker.add_vhost(field(row, "name", str)), description)

    def take_user(self, row: dict[str, Any]) -> None:
        """With a hashed password, or a plain one."""
        access, name, tags = self.server.broker.access, field(row, "name", str), tags_of(row)
        password, limits = field(row, "password", str, None), field(row, "limits", dict, {})
        if password is not None:
            access.add_user(name, password.encode(), tags=tags)
        else:
            self.take_hashed(row, name, tags)
        for word, limit in limits.items():
            self.server.broker.parameters.set_user_limit(name, word, limit)

    def take_hashed(self, row: dict[str, Any], name: str, tags: list[str]) -> None:
        """A user whose password nobody knows but its hash."""
        access = self.server.broker.access
        algorithm = field(row, "hashing_algorithm", str, SHA256)
        hashed = field(row, "password_hash", str)
        known = access.users.get(name)
        loopback_only = known.loopback_only if known is not None else False
        access.import_user(name, hashed, algorithm, tags=tags, loopback_only=loopback_only)

    def take_permission(self, row: dict[str, Any]) -> None:
        """Three regular expressions."""
        vhost, user = self.vhost(row).name, field(row, "user", str)
        verbs = (field(row, verb, str) for verb in ("configure", "write", "read"))
        self.server.broker.access.set_permission(vhost, user, *verbs)

    def take_topic_permission(self, row: dict[str, Any]) -> None:
        """Two regular expressions over the keys of an exchange."""
        vhost, user = self.vhost(row).name, field(row, "user", str)
        exchange = exchange_of(field(row, "exchange", str))
        access = self.server.broker.access
        access.set_topic_permission(vhost, user, exchange, field(row, "write", str), field(row, "read", str))

    def take_parameter(self, row: dict[str, Any]) -> Iterator[None] | None:
        """Vhost limits and operator policies are parameters, too."""
        parameters, vhost = self.server.broker.parameters, self.vhost(row).name
        component, name, value = field(row, "component", str), field(row, "name", str), row.get("value")
        if component == "vhost-limits" and isinstance(value, dict):
            for word, limit in value.items():
                parameters.set_vhost_limit(vhost, word, limit)
        elif component == OPERATOR_POLICY and isinstance(value, dict):
            # RabbitMQ's own export has an operator policy's definition as a list of pairs.
            pairs: Any = value.get("definition")
            definition = dict(pairs) if is_pairs(pairs) else pairs
            return self.take_operator_policy({**value, "definition": definition, "vhost": vhost, "name": name})
        else:
            parameters.put(component, vhost, name, value)
        return None

    def take_global(self, row: dict[str, Any]) -> None:
        """Of no vhost. What belongs to another broker's own housekeeping stays with it."""
        name = field(row, "name", str)
        if not name.startswith(("internal_", "cluster_")):
            self.server.broker.parameters.put("", "", name, row.get("value"))

    def take_policy(self, row: dict[str, Any]) -> Iterator[None]:
        """See core.policy."""
        return self.putting(row, operator=False)

    def take_operator_policy(self, row: dict[str, Any]) -> Iterator[None]:
        """See core.policy."""
        return self.putting(row, operator=True)

    def putting(self, row: dict[str, Any], *, operator: bool) -> Iterator[None]:
        """Of either kind."""
        policy = policy_of(field(row, "name", str), needs(row, *POLICY), operator)
        steps: Iterator[None] = self.vhost(row).policies.putting(policy)
        return steps

    def take_exchange(self, row: dict[str, Any]) -> None:
        """Those that every vhost has are there already."""
        name = field(row, "name", str)
        if name and not name.startswith("amq."):
            self.vhost(row).declare_exchange(
                name,
                field(row, "type", str),
                durable=flag(row, "durable"),
                auto_delete=flag(row, "auto_delete"),
                internal=flag(row, "internal"),
                arguments=field(row, "arguments", dict, {}),
            )

    def take_queue(self, row: dict[str, Any]) -> None:
        """Durable or not, as it was."""
        vhost, name = self.vhost(row), field(row, "name", str)
        declared = {
            "durable": flag(row, "durable"),
            "auto_delete": flag(row, "auto_delete"),
            "arguments": field(row, "arguments", dict, {}),
        }
        if not name.startswith(MADE_UP):
            vhost.declare_queue(name, **declared)
        elif name not in vhost.queues:
            vhost.create_queue(name, **declared, exclusive=False, owner=None)

    def take_binding(self, row: dict[str, Any]) -> None:
        """Between two that are there by now."""
        vhost = self.vhost(row)
        source = vhost.exchange(field(row, "source", str))
        of_kind, name = field(row, "destination_type", str), field(row, "destination", str)
        if of_kind not in (QUEUE, EXCHANGE):
            raise bad_request(f"destination_type: expected queue or exchange, got '{of_kind}'")
        destination = vhost.queue(name) if of_kind == QUEUE else vhost.exchange(name)
        key = field(row, "routing_key", str, "").encode()
        vhost.bind(source, destination, of_kind, key, field(row, "arguments", dict, {}))


def sections_of(text: str) -> dict[str, msgspec.Raw]:
    """The sections of a document, each still as text: what they hold is read in slices."""
    try:
        found: dict[str, msgspec.Raw] = decoded(text, dict[str, msgspec.Raw], NOT_JSON)
    except msgspec.ValidationError:
        object_of(text, NOT_JSON)  # says what it is instead
        raise
    return found


def raw_rows(sections: dict[str, msgspec.Raw], name: str) -> list[msgspec.Raw]:
    """The rows of a section, each still as text."""
    try:
        rows: list[msgspec.Raw] = decoded(sections[name], list[msgspec.Raw], NOT_JSON) if name in sections else []
    except msgspec.ValidationError:
        rows = field({name: decoded(sections[name], word=NOT_JSON)}, name, list, [])
    return rows


def row_of(name: str, raw: msgspec.Raw, vhost: str | None) -> dict[str, Any]:
    """A row; of the vhost, where the document has but one."""
    row = decoded(raw, word=NOT_JSON)
    if not isinstance(row, dict):
        raise bad_request(f"{name}: expected objects, got {kind(row)}")
    return row if vhost is None else {**row, "vhost": vhost}


def taking(rows: list[tuple[Step, dict[str, Any]]]) -> Iterator[None]:
    """Each row, in steps."""
    for step, row in rows:
        try:
            yield from step(row) or ()
        except (NotFound, InvalidPath) as error:  # what a row needs is not there: the document is wrong
            raise bad_request(error.text) from None
        yield


def without_vhost(row: dict[str, Any]) -> dict[str, Any]:
    """Of one vhost's export."""
    return {key: value for key, value in row.items() if key != "vhost"}


def is_pairs(value: Any) -> bool:
    """A list of a name and a value each."""
    return isinstance(value, list) and all(
        isinstance(each, list) and len(each) == 2 and isinstance(each[0], str) for each in value
    )


def exported_queues(vhost: Any) -> Iterator[dict[str, Any]]:
    """Those that outlive a connection, and are no session's or share's."""
    for each in list(vhost.queues.values()):
        if each.exclusive_owner is None and not each.name.startswith(SHARE_PREFIX):
            yield {
                "name": each.name,
                "vhost": vhost.name,
                "durable": each.durable,
                "auto_delete": each.auto_delete,
                "arguments": views.plain(each.arguments),
            }


def exported_exchanges(vhost: Any) -> Iterator[dict[str, Any]]:
    """Those that somebody declared."""
    for each in list(vhost.exchanges.values()):
        if each.name and not each.name.startswith("amq."):
            yield {
                "name": each.name,
                "vhost": vhost.name,
                "type": each.type,
                "durable": each.durable,
                "auto_delete": each.auto_delete,
                "internal": each.internal,
                "arguments": views.plain(each.arguments),
            }


def exported_bindings(vhost: Any) -> Iterator[dict[str, Any]]:
    """Between what is exported."""
    for each in list(vhost.bindings()):
        destination = each.destination
        if each.destination_kind not in (QUEUE, EXCHANGE) or destination.name.startswith(SHARE_PREFIX):
            continue
        if getattr(destination, "exclusive_owner", None) is None:
            row = views.binding(vhost, each)
            del row["properties_key"]
            yield row


def exported_policies(vhost: Any) -> Iterator[dict[str, Any]]:
    """Policies."""
    for each in list(vhost.policies.by_name.values()):
        yield policy(vhost.name, each)


SECTIONS: dict[str, Callable[[Any], Iterator[dict[str, Any]]]] = {
    "policies": exported_policies,
    "queues": exported_queues,
    "exchanges": exported_exchanges,
    "bindings": exported_bindings,
}
