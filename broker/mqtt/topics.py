# cython: annotation_typing=False
"""What a topic name and a topic filter may look like (MQTT 5 §4.7, §4.8.2), for the cold paths.

Owns the syntax. Refuses to know which topics match: that is the core's trie. A topic here is UTF-8 that was checked.
"""

from __future__ import annotations

from broker.mqtt.reasons import MqttError, Reason

SHARE = b"$share/"
SHARE_ALONE = b"$share"
QUEUE = b"$queue/"


def check_topic_name(topic_name: bytes) -> bytes:
    """`topic_name` itself, where one can publish to it. Raises MqttError."""
    if not topic_name:  # [MQTT-4.7.3-1]
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic name is empty")
    if b"+" in topic_name or b"#" in topic_name:  # [MQTT-3.3.2-2]
        raise MqttError(Reason.TOPIC_NAME_INVALID, "a topic name contains a wildcard")
    return topic_name


def check_topic_filter(topic_filter: bytes) -> bytes:
    """`topic_filter` itself, where one can subscribe to it; without `$share/…`. Raises MqttError."""
    if not topic_filter:  # [MQTT-4.7.3-1]
        raise MqttError(Reason.TOPIC_FILTER_INVALID, "a topic filter is empty")
    if b"#" not in topic_filter and b"+" not in topic_filter:
        return topic_filter
    levels = topic_filter.split(b"/")
    for level in levels:
        if len(level) > 1 and b"+" in level:  # [MQTT-4.7.1-2]
            raise MqttError(Reason.TOPIC_FILTER_INVALID, "a '+' must stand for a whole level of a topic filter")
        if len(level) > 1 and b"#" in level:  # [MQTT-4.7.1-1]
            raise MqttError(Reason.TOPIC_FILTER_INVALID, "a '#' must stand for whole levels of a topic filter")
    if b"#" in levels[: len(levels) - 1]:  # [MQTT-4.7.1-1]
        raise MqttError(Reason.TOPIC_FILTER_INVALID, "a '#' must be the last level of a topic filter")
    return topic_filter


def split_share(topic_filter: bytes) -> tuple[bytes | None, bytes]:
    """(share name, filter) of `$share/name/filter`. None: not shared; empty: `$queue/filter`, the share without a name.

    Both parts are checked. Raises MqttError.
    """
    if topic_filter.startswith(QUEUE):
        return b"", check_topic_filter(topic_filter[len(QUEUE) :])
    if not topic_filter.startswith(SHARE) and topic_filter != SHARE_ALONE:
        return None, check_topic_filter(topic_filter)
    name, slash, shared = topic_filter[len(SHARE) :].partition(b"/")
    if not name or b"+" in name or b"#" in name:  # [MQTT-4.8.2-1]
        raise MqttError(Reason.TOPIC_FILTER_INVALID, "a share name is empty or contains a wildcard")
    if not slash or not shared:  # [MQTT-4.8.2-2]
        raise MqttError(Reason.TOPIC_FILTER_INVALID, "a shared subscription lacks its topic filter")
    return name, check_topic_filter(shared)
