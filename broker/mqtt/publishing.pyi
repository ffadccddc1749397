"""Typed signatures of `publishing.pyx`."""

from broker.core.message import Message
from broker.core.vhost import VirtualHost

def publish_as_client(vhost: VirtualHost, message: Message, qos: int, retain: bool) -> int: ...
def published_qos(message: Message) -> int: ...
