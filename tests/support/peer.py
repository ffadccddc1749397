"""A core with AMQP on top and its clients, without sockets and threads: time and commits are moved by hand.

Owns one Broker on a MemoryStore (or any store) and a ManualClock, and Peers: clients made of the tests' own codec that
feed an AmqpConnection and read its Output. Nothing happens by itself: `commit` is the disk, `pass_ms` the time.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from unittest.mock import patch

import argon2

from broker.amqp.connection import AmqpConnection
from broker.amqp.endpoint import Endpoint
from broker.core import access
from broker.core.broker import Broker
from broker.core.clock import ManualClock
from broker.core.queue import Queue
from broker.core.vhost import VirtualHost
from broker.limits import Limits
from broker.wire.output import Output
from storage.memory_store import MemoryStore
from tests.support import amqp_codec as codec

Fields = dict[str, Any]


class Core:
    """A broker that one test owns. `limits`: what differs from the defaults."""

    def __init__(self, store: Any = None, clock: ManualClock | None = None, **limits: Any) -> None:
        self.store = MemoryStore() if store is None else store
        self.clock = ManualClock() if clock is None else clock
        self.limits = Limits(**limits)
        self.broker = Broker(self.store, self.clock, self.limits)
        self.restored = self.broker.restore()
        self.endpoint = Endpoint(
            self.clock, self.limits, frame_max=131_072, channel_max=2047, heartbeat_s=60, anonymous_user="guest"
        )
        self.peers: list[Peer] = []
        self.commit()

    @property
    def vhost(self) -> VirtualHost:
        return self.broker.vhosts["/"]

    def queue(self, name: str = "q") -> Queue:
        return self.vhost.queues[name]

    def pass_ms(self, ms: int) -> None:
        self.clock.pass_ms(ms)

    def commit(self) -> None:
        """Everything that is in open batches is on disk, and everybody who waits for it knows."""
        self.store.collect()
        while self.store.seal():
            assert select.select([self.store.notify_fd], [], [], 10.0)[0], "no commit within 10 s"
            self.store.collect()
        for peer in self.peers:
            peer.resume()

    def connect(self, **settings: Any) -> Peer:
        """A peer whose connection is open, with channel 1."""
        peer = Peer(self, **settings)
        peer.handshake()
        assert peer.call("channel.open").name == "channel.open-ok"
        return peer

    def stop(self) -> Any:
        """An orderly stop; gives the state for `Core(MemoryStore(state=...))`."""
        for peer in self.peers:
            peer.connection.shut_down("stop")
            peer.connection.lost("stop")
        self.broker.close()
        self.store.close()
        return getattr(self.store, "state", None)

    def crash(self) -> Any:
        """What was not committed is gone; gives the state for `Core(MemoryStore(state=...))`."""
        self.store.abandon()
        return getattr(self.store, "state", None)


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Cores made meanwhile hash passwords in microseconds: starting one costs nothing else."""
    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    with patch.object(access, "PasswordHasher", lambda **_: cheap), patch.object(access, "SCRAM_ITERATIONS", 1):
        yield


@dataclass(frozen=True)
class Content:
    """basic.deliver, get-ok or return, with properties and body."""

    name: str
    channel: int
    fields: Fields
    properties: Fields
    body: bytes

    @property
    def tag(self) -> int:
        return cast(int, self.fields["delivery_tag"])

    @property
    def redelivered(self) -> bool:
        return cast(bool, self.fields["redelivered"])


@dataclass(frozen=True)
class Method:
    """Any other method."""

    name: str
    channel: int
    fields: Fields


@dataclass
class Incoming:
    """Content whose frames are not all there."""

    name: str
    fields: Fields
    properties: Fields = field(default_factory=dict)
    body_size: int = -1
    body: bytes = b""


Received = Content | Method


class Peer:
    """A client: `feed` gives bytes, `send` methods; `received` is what came back and nobody has taken."""

    def __init__(self, core: Core, *, capabilities: Fields | None = None, high_bytes: int = 1 << 20) -> None:
        self.core = core
        self.connection = AmqpConnection(core.broker, core.endpoint)
        self.connection.peer = "127.0.0.1:1"
        self.connection.attach(Output(None, high_bytes))
        self.connection.opened()
        self.capabilities = {"consumer_cancel_notify": True, "connection.blocked": True, **(capabilities or {})}
        self.unconsumed = b""
        self.unparsed = b""
        self.received: list[Received] = []
        self.heartbeats = 0
        self.incoming: dict[int, Incoming] = {}
        core.peers.append(self)

    # ── bytes ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def feed(self, data: bytes, step: int = 0) -> None:
        """Give bytes to the connection, all at once or `step` at a time; what it does not take comes again."""
        pieces = [data] if step == 0 else [data[at : at + step] for at in range(0, len(data), step)]
        for piece in pieces:
            self.unconsumed += piece
            self.resume()

    def resume(self) -> None:
        """Offer again what was not consumed, then read what came back."""
        while self.unconsumed:
            taken = self.connection.feed(self.unconsumed)
            self.unconsumed = self.unconsumed[taken:]
            if taken == 0:
                break
        self.read()

    def read(self) -> None:
        """Take the output and sort it into methods and content."""
        self.unparsed += self.connection.output.take()
        while len(self.unparsed) >= 7 and self.unparsed[:4] != b"AMQP":
            kind, channel, size = struct.unpack(">BHI", self.unparsed[:7])
            if len(self.unparsed) < size + 8:
                return
            payload = self.unparsed[7 : 7 + size]
            assert self.unparsed[7 + size] == codec.FRAME_END
            self.unparsed = self.unparsed[size + 8 :]
            self.on_frame(kind, channel, payload)

    def on_frame(self, kind: int, channel: int, payload: bytes) -> None:
        if kind == codec.FRAME_HEARTBEAT:
            self.heartbeats += 1
            return
        if kind == codec.FRAME_METHOD:
            name, fields = codec.decode_method(payload)
            if name in ("basic.deliver", "basic.get-ok", "basic.return"):
                self.incoming[channel] = Incoming(name, fields)
            else:
                self.received.append(Method(name, channel, fields))
            return
        incoming = self.incoming[channel]
        if kind == codec.FRAME_HEADER:
            incoming.body_size, incoming.properties = codec.decode_header(payload)
        else:
            incoming.body += payload
        assert len(incoming.body) <= incoming.body_size
        if len(incoming.body) == incoming.body_size:
            del self.incoming[channel]
            content = Content(incoming.name, channel, incoming.fields, incoming.properties, incoming.body)
            self.received.append(content)

    # ── methods ───────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, name: str, channel: int = 1, **fields: Any) -> None:
        self.feed(method(name, channel, **fields))

    def call(self, name: str, channel: int = 1, **fields: Any) -> Method:
        """Send a method and take its answer, which may wait for the disk."""
        before = len(self.received)
        self.send(name, channel, **fields)
        if not any(isinstance(each, Method) for each in self.received[before:]):
            self.core.commit()
        answers = [each for each in self.received[before:] if isinstance(each, Method)]
        assert answers, f"no answer to {name}"
        self.received.remove(answers[0])
        return answers[0]

    def publish(self, routing_key: str = "q", body: bytes = b"", **settings: Any) -> None:
        """See `publication`."""
        self.feed(publication(routing_key, body, **settings))

    def declare(self, name: str = "q", *, durable: bool = False, channel: int = 1, **arguments: Any) -> Method:
        """queue.declare; argument names without `x-`, `_` for `-`."""
        table = {"x-" + each.replace("_", "-"): value for each, value in arguments.items()}
        answer = self.call("queue.declare", channel, queue=name, durable=durable, arguments=table)
        assert answer.name == "queue.declare-ok", answer
        return answer

    def bind(self, exchange: str, routing_key: str = "", name: str = "q", **arguments: Any) -> None:
        answer = self.call("queue.bind", queue=name, exchange=exchange, routing_key=routing_key, arguments=arguments)
        assert answer.name == "queue.bind-ok", answer

    def consume(self, name: str = "q", tag: str = "", *, channel: int = 1, **fields: Any) -> str:
        """basic.consume; the consumer tag."""
        answer = self.call("basic.consume", channel, queue=name, consumer_tag=tag, **fields)
        assert answer.name == "basic.consume-ok", answer
        return cast(str, answer.fields["consumer_tag"])

    def get(self, name: str = "q", *, channel: int = 1, no_ack: bool = False) -> Content | None:
        """basic.get; None for get-empty."""
        before = len(self.received)
        self.send("basic.get", channel, queue=name, no_ack=no_ack)
        answer = self.received[before]
        del self.received[before]
        if isinstance(answer, Content):
            assert answer.name == "basic.get-ok"
            return answer
        assert answer.name == "basic.get-empty", answer
        return None

    def got(self, name: str = "q", *, channel: int = 1, no_ack: bool = False) -> Content:
        """basic.get of a queue that is not empty."""
        content = self.get(name, channel=channel, no_ack=no_ack)
        assert content is not None, f"queue {name} is empty"
        return content

    def drain(self, name: str = "q") -> list[bytes]:
        """The bodies of all ready messages, in order; the queue is empty then."""
        bodies = []
        while (content := self.get(name, no_ack=True)) is not None:
            bodies.append(content.body)
        return bodies

    def take(self, name: str | None = None) -> list[Received]:
        """Everything received since, or everything of one method."""
        self.read()
        taken = [each for each in self.received if name in (None, each.name)]
        self.received = [each for each in self.received if name not in (None, each.name)]
        return taken

    def deliveries(self) -> list[Content]:
        return [each for each in self.take("basic.deliver") if isinstance(each, Content)]

    def bodies(self) -> list[bytes]:
        """The bodies of what was delivered since."""
        return [each.body for each in self.deliveries()]

    def confirms(self) -> list[tuple[str, int, bool]]:
        """(ack or nack, delivery tag, multiple) of the confirms that came since."""
        return [
            (each.name.removeprefix("basic."), each.fields["delivery_tag"], each.fields["multiple"])
            for name in ("basic.ack", "basic.nack")
            for each in self.take(name)
        ]

    def closed_with(self) -> int:
        """The reply code of the channel.close or connection.close that came; 0 where none did."""
        for each in self.take():
            if each.name in ("channel.close", "connection.close"):
                return cast(int, each.fields["reply_code"])
        return 0

    def handshake(self, virtual_host: str = "/", heartbeat: int = 0) -> None:
        """From the protocol header to connection.open-ok."""
        self.feed(codec.PROTOCOL_HEADER)
        assert self.take()[0].name == "connection.start"
        tune = self.call(
            "connection.start-ok",
            0,
            client_properties={"capabilities": self.capabilities},
            mechanism="ANONYMOUS",
            locale="en_US",
        )
        assert tune.name == "connection.tune", tune
        limits = {name: tune.fields[name] for name in ("channel_max", "frame_max")}
        self.send("connection.tune-ok", 0, heartbeat=heartbeat, **limits)
        answer = self.call("connection.open", 0, virtual_host=virtual_host)
        assert answer.name == "connection.open-ok", answer


def method(name: str, channel: int = 1, **fields: Any) -> bytes:
    """A whole method frame."""
    return codec.encode_frame(codec.FRAME_METHOD, channel, codec.encode_method(name, **fields))


def publication(
    routing_key: str = "q",
    body: bytes = b"",
    *,
    exchange: str = "",
    channel: int = 1,
    mandatory: bool = False,
    frame_bytes_max: int = 131_064,
    **properties: Any,
) -> bytes:
    """The frames of basic.publish with its content."""
    frames = method("basic.publish", channel, exchange=exchange, routing_key=routing_key, mandatory=mandatory)
    frames += codec.encode_frame(codec.FRAME_HEADER, channel, codec.encode_header(len(body), properties))
    for at in range(0, len(body), frame_bytes_max):
        frames += codec.encode_frame(codec.FRAME_BODY, channel, body[at : at + frame_bytes_max])
    return frames
