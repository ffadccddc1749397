"""Typed signatures of the Python half of `naming.pyx`."""

from broker.core.target import Target
from broker.mqtt.counters import Counters

class Unnameable(Target):
    """Takes what a subscription matches and no PUBLISH can carry."""

    def __init__(self, counters: Counters) -> None: ...

def is_topic_key(routing_key: bytes) -> bool: ...
