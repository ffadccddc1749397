"""The targets whose inputs are scripts: how their conversations are drawn, and what a small change to them is."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from tests.fuzz import conversations, mqtt_conversations, websocket_conversations
from tests.fuzz.mutation import mutate_frame
from tests.fuzz.script import Step
from tests.support.mqtt_codec import V5, V31, V311


class Scripted(NamedTuple):
    """What the engine must know of a dialect."""

    conversation: Callable[..., list[Step]]
    """`conversation(chance, count)`"""
    introduction: Callable[[random.Random], list[Step]]
    """What a stranger says first."""
    mutate_unit: Callable[[random.Random, bytes], bytes]
    """One change that leaves the framing whole, mostly."""


def mqtt(version: int) -> Scripted:
    """MQTT with client A of `version`."""
    return Scripted(
        partial(mqtt_conversations.conversation, version),
        partial(mqtt_conversations.introduction, version),
        mqtt_conversations.mutate_packet,
    )


SCRIPTED = {
    "connection": Scripted(conversations.conversation, conversations.introduction, mutate_frame),
    "mqtt_3_1": mqtt(V31),
    "mqtt_3_1_1": mqtt(V311),
    "mqtt_5": mqtt(V5),
    "websocket": Scripted(
        websocket_conversations.conversation,
        websocket_conversations.introduction,
        websocket_conversations.mutate_websocket_frame,
    ),
}
