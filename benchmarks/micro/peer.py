"""A broker in memory, and clients that speak to it in bytes without a socket.

Owns what the paths have in common: the broker's making, a client's handshake, frames. Whoever feeds a connection here
does what the edge does in a turn of the loop; whatever the connection answers is taken out of its output at once.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from broker.amqp.codec import frame, method_frame
from broker.amqp.connection import AmqpConnection
from broker.amqp.endpoint import Endpoint
from broker.core.broker import Broker
from broker.core.clock import ManualClock
from broker.core.properties import encode_properties
from broker.limits import Limits
from broker.wire.buffers import BufferPool
from broker.wire.output import Output
from storage.memory_store import MemoryStore

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
FRAME_MAX = 131_072
BASIC_DELIVER = (60 << 16 | 60).to_bytes(4, "big")
FRAME_METHOD, FRAME_HEADER, FRAME_BODY = 1, 2, 3
CHUNK_BYTES = 65_536
"""What one read of a busy socket brings, more or less."""

CLIENT_PROPERTIES = {
    "product": "Pika Python Client Library",
    "platform": "Python 3.11.7",
    "capabilities": {
        "authentication_failure_close": True,
        "basic.nack": True,
        "connection.blocked": True,
        "consumer_cancel_notify": True,
        "publisher_confirms": True,
    },
    "information": "See http://pika.rtfd.org",
    "version": "1.3.2",
}
START_OK = method_frame(0, "connection.start-ok", CLIENT_PROPERTIES, "PLAIN", b"\0guest\0guest", "en_US")
TUNE_OK_AND_OPEN = method_frame(0, "connection.tune-ok", 2047, FRAME_MAX, 60) + method_frame(
    0, "connection.open", "/", "", False
)
CHANNEL_OPEN = method_frame(1, "channel.open", "")
CLOSE = method_frame(0, "connection.close", 200, "Normal shutdown", 0, 0)
CLOSE_OK = method_frame(0, "connection.close-ok")
CONSUME = method_frame(1, "basic.consume", 0, "micro", "c", False, False, False, False, {})
CONSUME_OK = method_frame(1, "basic.consume-ok", "c")


class House:
    """A broker whose store is in memory, and whose clock stands still."""

    def __init__(self) -> None:
        """Restored and empty: one vhost, guest/guest."""
        # No compaction: it depends on the time of day, and the counts must not.
        self.store = MemoryStore(tidy_ms=1_000_000_000)
        self.clock = ManualClock()
        limits = Limits()
        self.pool = BufferPool(limits.pooled_bytes_max)
        self.broker = Broker(self.store, self.clock, limits)
        self.broker.restore()
        self.endpoint = Endpoint(self.clock, limits, frame_max=FRAME_MAX, channel_max=2047, heartbeat_s=60)
        self.store.sync()

    def connection(self) -> Peer:
        """A client that has said nothing yet."""
        return Peer(self)

    def client(self) -> Peer:
        """A client with channel 1 open."""
        peer = Peer(self)
        peer.log_in()
        return peer

    def turn_ends(self) -> None:
        """What follows the reading in a turn of the loop: confirms of the last batch, then the next one."""
        self.store.collect()
        self.store.seal()


class Peer:
    """One client: a connection of the broker, its output, and what was taken out of it."""

    __slots__ = ("connection", "feed", "house", "last", "output", "received_bytes", "take_output")

    def __init__(self, house: House) -> None:
        """From the machine itself, as guest must be."""
        self.house = house
        self.output = Output(house.pool)
        self.connection = AmqpConnection(house.broker, house.endpoint)
        self.connection.peer = "127.0.0.1:50000"
        self.connection.attach(self.output)
        self.connection.opened()
        self.feed = self.connection.feed
        self.take_output = self.output.take
        self.received_bytes = 0
        self.last = b""

    def log_in(self) -> None:
        """The whole handshake and channel.open, in the pieces in which a client sends them."""
        for piece in (PROTOCOL_HEADER, START_OK, TUNE_OK_AND_OPEN, CHANNEL_OPEN):
            self.feed(piece)
            self.take_output()

    def call(self, name: str, *arguments: object) -> bytes:
        """Send a method on channel 1, let the store have it, and return all that was answered."""
        data = method_frame(1, name, *arguments)
        if self.feed(data) != len(data):
            raise AssertionError(f"{name} was not consumed")
        self.house.store.sync()
        answer = self.take_output()
        if not answer:
            raise AssertionError(f"{name} was not answered")
        return answer

    def declare_queue(self, name: str, *, durable: bool = False) -> None:
        """A queue; no-wait is never used."""
        self.call("queue.declare", 0, name, False, durable, False, False, False, {})

    def declare_topic_exchange(self, name: str) -> None:
        """A transient exchange of type topic."""
        self.call("exchange.declare", 0, name, "topic", False, False, False, False, False, {})

    def bind(self, queue: str, exchange: str, binding_key: str) -> None:
        """queue.bind."""
        self.call("queue.bind", 0, queue, exchange, binding_key, False, {})

    def consume(self, queue: str, *, no_ack: bool) -> None:
        """basic.consume; the consumer's tag is `c`."""
        self.call("basic.consume", 0, queue, "c", False, no_ack, False, False, {})

    def take(self) -> None:
        """Take the output as the edge would; remember how much it was, and the last."""
        output = self.take_output()
        if output:
            self.received_bytes += len(output)
            self.last = output


def publish(exchange: str, routing_key: str, body: bytes, **properties: object) -> bytes:
    """basic.publish on channel 1 with its content, as wire bytes."""
    raw = encode_properties(properties)
    return (
        method_frame(1, "basic.publish", 0, exchange, routing_key, False, False)
        + frame(FRAME_HEADER, 1, struct.pack(">HHQ", 60, 0, len(body)) + raw)
        + frame(FRAME_BODY, 1, body)
    )


def deliver(delivery_tag: int, exchange: str, routing_key: str, body: bytes, **properties: object) -> bytes:
    """The basic.deliver that consumer `c` on channel 1 must get, as wire bytes."""
    raw = encode_properties(properties)
    return (
        method_frame(1, "basic.deliver", "c", delivery_tag, False, exchange, routing_key)
        + frame(FRAME_HEADER, 1, struct.pack(">HHQ", 60, 0, len(body)) + raw)
        + frame(FRAME_BODY, 1, body)
    )


def ack(delivery_tag: int, *, multiple: bool) -> bytes:
    """basic.ack on channel 1, as wire bytes."""
    return method_frame(1, "basic.ack", delivery_tag, multiple)


def chunks(units: Iterable[bytes], chunk_bytes: int = CHUNK_BYTES) -> list[bytes]:
    """The units, joined to chunks of at most `chunk_bytes`; none is cut."""
    joined: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for unit in units:
        if waiting and size + len(unit) > chunk_bytes:
            joined.append(b"".join(waiting))
            waiting, size = [], 0
        waiting.append(unit)
        size += len(unit)
    if waiting:
        joined.append(b"".join(waiting))
    return joined


def delivery_tags(output: bytes) -> list[int]:
    """The delivery tags of all basic.deliver in whole frames."""
    tags = []
    at = 0
    while at < len(output):
        size = int.from_bytes(output[at + 3 : at + 7], "big")
        if output[at] == FRAME_METHOD and output[at + 7 : at + 11] == BASIC_DELIVER:
            tag_at = at + 12 + output[at + 11]
            tags.append(int.from_bytes(output[tag_at : tag_at + 8], "big"))
        at += size + 8
    return tags
