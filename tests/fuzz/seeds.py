"""What each target starts from: small inputs that make sense."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from tests.fuzz import conversations, mqtt_targets, script
from tests.fuzz.scripted import SCRIPTED, Scripted
from tests.support import amqp_codec as codec

CONVERSATIONS = 40


def tables(chance: random.Random) -> list[bytes]:
    """The contents of field tables."""
    author = conversations.Author(chance)
    drawn = [{name: author.value() for name in "abc"} for _ in range(20)]
    sizes = {
        "t": 1,
        "b": 1,
        "B": 1,
        "s": 2,
        "u": 2,
        "I": 4,
        "i": 4,
        "l": 8,
        "L": 8,
        "f": 4,
        "d": 8,
        "D": 5,
        "T": 8,
        "V": 0,
    }
    every_type = {
        kind: codec.TypedValue(kind.encode(), bytes(size))
        for kind, size in {**sizes, "x": 4, "S": 4, "F": 4, "A": 4}.items()  # those four: empty
    }
    nested: object = 1
    for depth in range(130):
        nested = {"n": nested} if depth % 2 else [nested]
    all_of_them: list[codec.Fields] = [{}, every_type, {"n": nested}, *drawn]
    return [codec.encode_table(each)[4:] for each in all_of_them]


def property_lists(chance: random.Random) -> list[bytes]:
    """Property lists, as in a content header behind its first twelve bytes."""
    author = conversations.Author(chance)
    return [codec.encode_header(0, author.properties())[12:] for _ in range(40)]


def method_arguments(chance: random.Random) -> list[bytes]:
    """Method arguments, behind class and method."""
    author = conversations.Author(chance)
    frames = [frame for _ in range(4) for frame in author.frames(30) if frame[0] == codec.FRAME_METHOD]
    return sorted({frame[11 : 7 + int.from_bytes(frame[3:7], "big")] for frame in frames})


def scripts(scripted: Scripted, chance: random.Random) -> list[bytes]:
    """Conversations, some with a stranger."""
    drawn = [scripted.conversation(chance, chance.choice([4, 12, 24, 60])) for _ in range(CONVERSATIONS)]
    drawn += [scripted.introduction(chance) for _ in range(8)]
    return [script.write(steps) for steps in drawn]


def seeds(target: str, seed: int) -> list[bytes]:
    """The corpus of a target."""
    make: dict[str, Callable[[random.Random], list[bytes]]] = {
        "table": tables,
        "properties": property_lists,
        "arguments": method_arguments,
        **{name: partial(scripts, scripted) for name, scripted in SCRIPTED.items()},
        "mqtt_packet": lambda _: mqtt_targets.packet_seeds(),
        "mqtt_publish": lambda _: mqtt_targets.publish_seeds(),
        "mqtt_from_amqp": lambda chance: mqtt_targets.from_amqp_seeds() + property_lists(chance),
    }
    return make[target](random.Random(seed))
