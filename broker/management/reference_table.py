"""What the routes do not say of themselves: the bodies of requests, queries, and answers that are not the rule.

A test holds every route that takes a body against this table.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

STRING: Schema = {"type": "string"}
FLAG: Schema = {"type": ["boolean", "string"], "enum": [True, False, "true", "false"]}
NUMBER: Schema = {"type": "integer"}
COUNT: Schema = {"type": ["integer", "string"], "pattern": "^[0-9]+$", "minimum": 0}
ANYTHING: Schema = {}
TABLE: Schema = {"type": "object"}
SECTION: Schema = {"type": "array", "items": TABLE}


def fields(required: str = "", **properties: Schema) -> Schema:
    """An object; `required`: names, apart by blanks."""
    return {
        "type": "object",
        **({"required": required.split()} if required else {}),
        "properties": {name.replace("__", "-"): schema for name, schema in properties.items()},
    }


POLICY = fields("pattern definition", pattern=STRING, definition=TABLE, priority=NUMBER, apply__to=STRING)
LIMIT = fields("value", value=NUMBER)
VALUE = fields("value", value=ANYTHING)
TAGS: Schema = {"type": ["string", "array"], "items": STRING}
DEFINITIONS = fields(
    vhosts=SECTION, users=SECTION, permissions=SECTION, topic_permissions=SECTION, parameters=SECTION,
    global_parameters=SECTION, policies=SECTION, exchanges=SECTION, queues=SECTION, bindings=SECTION,
)  # fmt: skip

BODIES: dict[tuple[str, str], Schema] = {
    ("PUT", "/api/cluster-name"): fields("name", name=STRING),
    ("PUT", "/api/queues/{vhost}/{name}"): fields(durable=FLAG, auto_delete=FLAG, arguments=TABLE),
    ("POST", "/api/queues/{vhost}/{name}/get"): fields(
        "count ackmode encoding",
        count=COUNT,
        ackmode={"enum": ["ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false"]},
        encoding={"enum": ["auto", "base64"]},
        truncate=COUNT,
    ),
    ("POST", "/api/queues/{vhost}/{name}/actions"): fields("action", action={"enum": ["sync", "cancel_sync"]}),
    ("POST", "/api/hubbub/queues/{vhost}/{name}/move"): fields("destination", destination=STRING, count=COUNT),
    ("PUT", "/api/exchanges/{vhost}/{name}"): fields(
        type=STRING, durable=FLAG, auto_delete=FLAG, internal=FLAG, arguments=TABLE
    ),
    ("POST", "/api/exchanges/{vhost}/{name}/publish"): fields(
        "routing_key properties payload payload_encoding",
        routing_key=STRING,
        properties=TABLE,
        payload=STRING,
        payload_encoding={"enum": ["string", "base64"]},
    ),
    ("POST", "/api/bindings/{vhost}/e/{source}/{kind}/{destination}"): fields(routing_key=STRING, arguments=TABLE),
    ("PUT", "/api/vhosts/{vhost}"): fields(description=STRING, tags=TAGS, tracing=FLAG),
    ("PUT", "/api/vhost-limits/{vhost}/{name}"): LIMIT,
    ("PUT", "/api/users/{user}"): fields(
        "tags", tags=TAGS, password=STRING, password_hash=STRING, hashing_algorithm=STRING
    ),
    ("POST", "/api/users/bulk-delete"): fields("users", users={"type": "array", "items": STRING}),
    ("PUT", "/api/permissions/{vhost}/{user}"): fields(
        "configure write read", configure=STRING, write=STRING, read=STRING
    ),
    ("PUT", "/api/topic-permissions/{vhost}/{user}"): fields(
        "exchange write read", exchange=STRING, write=STRING, read=STRING
    ),
    ("PUT", "/api/user-limits/{user}/{name}"): LIMIT,
    ("PUT", "/api/policies/{vhost}/{name}"): POLICY,
    ("PUT", "/api/operator-policies/{vhost}/{name}"): POLICY,
    ("PUT", "/api/parameters/{component}/{vhost}/{name}"): VALUE,
    ("PUT", "/api/global-parameters/{name}"): VALUE,
    ("POST", "/api/definitions"): DEFINITIONS,
    ("POST", "/api/all-configuration"): DEFINITIONS,
    ("POST", "/api/definitions/{vhost}"): DEFINITIONS,
    ("PUT", "/api/hubbub/mqtt/acls/{vhost}"): fields("rules", rules=SECTION),
    ("POST", "/api/hubbub/mqtt/acls/{vhost}"): fields(
        "permission topic",
        permission={"enum": ["allow", "deny"]},
        action={"enum": ["publish", "subscribe", "all"]},
        topic=STRING,
        user={"type": ["string", "null"]},
        number={"type": ["integer", "null"]},
    ),
    ("POST", "/api/hubbub/explain"): fields(
        protocol={"enum": ["amqp", "mqtt"]},
        user=STRING,
        vhost=STRING,
        exchange=STRING,
        routing_key=STRING,
        properties=TABLE,
        topic=STRING,
        client_id=STRING,
        qos={"enum": [0, 1, 2]},
        retain=FLAG,
    ),
    ("POST", "/api/hubbub/backup"): fields("directory", directory=STRING),
    ("POST", "/api/hubbub/traces"): fields(
        vhost=STRING,
        exchange=STRING,
        queue=STRING,
        user=STRING,
        client=STRING,
        topic=STRING,
        routing_key=STRING,
        messages_max=COUNT,
        seconds=COUNT,
    ),
}

ANSWERS: dict[tuple[str, str], tuple[int, ...]] = {
    ("POST", "/api/queues/{vhost}/{name}/get"): (200,),
    ("POST", "/api/queues/{vhost}/{name}/actions"): (204,),
    ("POST", "/api/hubbub/queues/{vhost}/{name}/move"): (200,),
    ("POST", "/api/rebalance/queues"): (204,),
    ("POST", "/api/exchanges/{vhost}/{name}/publish"): (200,),
    ("POST", "/api/bindings/{vhost}/e/{source}/{kind}/{destination}"): (201,),
    ("POST", "/api/vhosts/{vhost}/start/{node}"): (204,),
    ("POST", "/api/users/bulk-delete"): (204,),
    ("POST", "/api/definitions"): (204,),
    ("POST", "/api/all-configuration"): (204,),
    ("POST", "/api/definitions/{vhost}"): (204,),
    ("POST", "/api/hubbub/mqtt/acls/{vhost}"): (201,),
    ("POST", "/api/hubbub/explain"): (200, 404),
    ("POST", "/api/hubbub/backup"): (201, 500),
    ("POST", "/api/hubbub/traces"): (201, 404),
}
"""Statuses besides those of every route of the method."""

POSITIVE: Schema = {"type": "integer", "minimum": 1}
SINGLE_QUERY: dict[str, Schema] = {"columns": STRING}
LISTING_QUERY: dict[str, Schema] = {
    **SINGLE_QUERY,
    "name": STRING,
    "use_regex": {"type": "boolean"},
    "sort": STRING,
    "sort_reverse": {"type": "boolean"},
    "page": POSITIVE,
    "page_size": {"type": "integer", "minimum": 1, "maximum": 500},
}
HISTORY_QUERY: dict[str, Schema] = {"age": POSITIVE}
SAMPLES_QUERY: dict[str, Schema] = {
    f"{kind}_{what}": POSITIVE
    for kind in ("lengths", "msg_rates", "data_rates", "node_stats")
    for what in ("age", "incr")
}
