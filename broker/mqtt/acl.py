"""Access rules in MQTT's words, and as the core has them.

    {"permission": "allow" | "deny", "action": "publish" | "subscribe" | "all", "topic": FILTER, "user": NAME or null}

A filter has `+` and `#` as a subscription's; %c stands for the client identifier, %u for the user. The first rule that
fits decides; `mqtt.acl_default` where none does. Owns the words. Refuses to know how a topic is judged
(`core.topic_rights`) and where rules are kept (`core.topic_access`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from broker.core.topic_access import TopicAccess
from broker.core.topic_rights import TopicRule
from broker.mqtt.reasons import MqttError
from broker.mqtt.topics import check_topic_filter
from broker.mqtt.translate import swapped

PERMISSIONS = {"allow": True, "deny": False}
ACTIONS = {"publish": "write", "subscribe": "read", "all": "all"}
VERBS = {verb: action for action, verb in ACTIONS.items()}
FIELDS = {"permission", "action", "topic", "user"}
SHOWN = {"number", "source", "vhost"}
"""What listings have besides, and whoever gives a listing back need not take out."""


def rule_of(row: Mapping[str, Any]) -> TopicRule:
    """A rule from its words; `action` is all and `user` everybody where they are not given. Raises ValueError."""
    unknown = sorted(set(row) - FIELDS - SHOWN)
    if unknown:
        raise ValueError(f"expected {', '.join(sorted(FIELDS))}, got {', '.join(unknown)}")
    permission, action = row.get("permission"), row.get("action", "all")
    topic, user = row.get("topic"), row.get("user")
    if permission not in PERMISSIONS:
        raise ValueError(f"permission: expected allow or deny, got {permission!r}")
    if action not in ACTIONS:
        raise ValueError(f"action: expected publish, subscribe or all, got {action!r}")
    if not isinstance(topic, str):
        raise ValueError(f"topic: expected a topic filter, got {topic!r}")
    if user is not None and (not isinstance(user, str) or not user):
        raise ValueError(f"user: expected a name or null, got {user!r}")
    try:
        key = swapped(check_topic_filter(topic.encode()))
    except MqttError as error:
        raise ValueError(f"topic: {error.text}") from None
    except UnicodeEncodeError:
        raise ValueError("topic: expected UTF-8") from None
    return TopicRule(PERMISSIONS[permission], ACTIONS[action], key, user)


def row_of(rule: TopicRule) -> dict[str, Any]:
    """A rule in words."""
    return {
        "permission": "allow" if rule.allow else "deny",
        "action": VERBS[rule.verb],
        "topic": swapped(rule.key).decode(errors="replace"),
        "user": rule.user,
    }


def rows(topics: TopicAccess, vhost: str) -> Iterator[dict[str, Any]]:
    """All rules of a vhost, in order. Those of the configuration have no number: they are changed there."""
    fixed = topics.fixed_count(vhost)
    for at, rule in enumerate(topics.rules_of(vhost)):
        number = at - fixed + 1
        yield {
            "vhost": vhost,
            "number": number if number > 0 else None,
            "source": "stored" if number > 0 else "configuration",
            **row_of(rule),
        }


def fixed_rules(settings: Iterable[Any]) -> list[tuple[str | None, TopicRule]]:
    """Those of the configuration (config.MqttAcl), with their vhosts. Raises ValueError."""
    return [
        (
            each.vhost,
            rule_of(
                {"permission": each.permission, "action": each.action, "topic": each.topic, "user": each.user},
            ),
        )
        for each in settings
    ]
