"""A whole broker in this process, without sockets: connections are fed by hand and say what they say into a buffer.

Owns a memory store, a clock that stands still, a broker and what AMQP connections share. Nothing happens by itself:
time passes and batches are committed when the test says so. What only a programming error does (an internal error, an
exception that nobody can catch, a broken frame) raises `BrokenBrokerError`.
"""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from broker.amqp.connection import AmqpConnection
from broker.amqp.endpoint import Endpoint
from broker.core.broker import Broker
from broker.core.clock import ManualClock
from broker.limits import Limits
from storage.memory_store import MemoryStore
from tests.support import amqp_codec as codec
from tests.support.fed import Fed

CHANNEL_MAX = 2047
HEADER_AND_START_OK = codec.PROTOCOL_HEADER + codec.encode_frame(
    codec.FRAME_METHOD,
    0,
    codec.encode_method(
        "connection.start-ok",
        client_properties={"capabilities": {"consumer_cancel_notify": True, "connection.blocked": True}},
        mechanism="PLAIN",
        response="\0guest\0guest",
        locale="en_US",
    ),
)
CLOSED = 7


class BrokenBrokerError(AssertionError):
    """The broker did what it must never do, whatever its peers say."""


class Said(NamedTuple):
    """One frame that the broker said: a method's name and fields, or a header or body with its payload."""

    channel: int
    name: str
    content: Any


def handshake(frame_max: int = 131072, channel_max: int = CHANNEL_MAX) -> bytes:
    """Everything that a client says until its connection is open."""
    tune_ok = codec.encode_method("connection.tune-ok", channel_max=channel_max, frame_max=frame_max)
    open_ = codec.encode_method("connection.open", virtual_host="/")
    return HEADER_AND_START_OK + b"".join(
        codec.encode_frame(codec.FRAME_METHOD, 0, payload) for payload in (tune_ok, open_)
    )


def method_size(name: str, fields: dict[str, Any]) -> int:
    """The bytes that a method with these fields takes. connection.start has field types of its own, and is let pass."""
    if name == "connection.start":
        return -1
    texts = {key: value.encode("utf-8", "surrogateescape") for key, value in fields.items() if isinstance(value, str)}
    return len(codec.encode_method(name, **{**fields, **texts}))


def parse(said: bytes, frame_max: int) -> Iterator[Said]:
    """The frames of an output, each of them whole. Raises BrokenBrokerError for bytes that no client could read."""
    at = 0
    while at < len(said):
        if said[at : at + 8] == codec.PROTOCOL_HEADER:
            yield Said(0, "protocol-header", None)
            at += 8
            continue
        frame_type, channel, size = struct.unpack_from(">BHI", said, at)
        end = at + 7 + size
        if end >= len(said) or said[end] != codec.FRAME_END:
            raise BrokenBrokerError(f"a broken frame at {at} of {len(said)}: {said[at : at + 60]!r}")
        payload = said[at + 7 : end]
        at = end + 1
        if frame_type == codec.FRAME_METHOD:
            try:
                name, fields = codec.decode_method(payload)
            except Exception as error:
                raise BrokenBrokerError(f"a method that cannot be read ({error!r}): {payload[:60]!r}") from error
            if method_size(name, fields) not in (-1, len(payload)):
                raise BrokenBrokerError(f"{name} with bytes behind its arguments: {payload!r}")
            yield Said(channel, name, fields)
        elif frame_type == codec.FRAME_HEADER:
            body_size, _ = codec.decode_header(payload)
            yield Said(channel, "header", (body_size, payload[12:]))
        elif frame_type == codec.FRAME_BODY:
            if frame_max and size + 8 > frame_max:
                raise BrokenBrokerError(f"a body frame of {size} bytes, where {frame_max} are agreed")
            yield Said(channel, "body", payload)
        elif frame_type == codec.FRAME_HEARTBEAT:
            yield Said(channel, "heartbeat", None)
        else:
            raise BrokenBrokerError(f"a frame of type {frame_type}")


class Client(Fed):
    """One AMQP connection."""

    inside: InProcess

    def __init__(self, inside: InProcess) -> None:
        super().__init__(inside, AmqpConnection(inside.broker, inside.endpoint), "127.0.0.1:5000")
        self.said = bytearray()

    @property
    def is_over(self) -> bool:
        """See `Fed`."""
        return self.is_lost or self.connection.state == CLOSED or bool(self.connection.output.is_closed)

    def take(self) -> bytes:
        """What the broker has said since the last call, as bytes."""
        taken: bytes = self.connection.output.take()
        self.said += taken
        self.connection.wake_channels()
        return taken

    def talk(self) -> list[Said]:
        """What the broker has said since the last call."""
        return list(parse(self.take(), self.connection.frame_max))


class Alarmed(logging.Handler):
    """Remembers what is logged as an error: only our own mistakes are."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class InProcess:
    """The broker. `limits`: as of `broker.limits.Limits`; `store`: with what an earlier broker has left there."""

    def __init__(self, store: MemoryStore | None = None, **limits: int) -> None:
        self.store = MemoryStore() if store is None else store
        self.clock = ManualClock()
        chosen = Limits(**limits)
        self.broker = Broker(self.store, self.clock, chosen)
        self.broker.restore()
        self.endpoint = Endpoint(self.clock, chosen, frame_max=131072, channel_max=CHANNEL_MAX, heartbeat_s=0)
        self.commit()

    def connect(self, *, frame_max: int = 131072) -> Client:
        """A connection that has finished its handshake."""
        client = self.accept()
        client.hear(handshake(frame_max))
        names = [said.name for said in client.talk()]
        if names != ["connection.start", "connection.tune", "connection.open-ok"]:
            raise BrokenBrokerError(f"the handshake went wrong: {names}")
        return client

    def accept(self) -> Client:
        """A connection that has said nothing so far."""
        return Client(self)

    def commit(self) -> None:
        """Everything up to now is on disk, and whoever waits for that has been told."""
        self.store.sync()
        self.store.collect()

    def pass_ms(self, ms: int) -> None:
        """Time passes; timers fire."""
        self.clock.pass_ms(ms)
        self.commit()

    def clear(self) -> None:
        """Remove every queue and exchange that clients made."""
        for vhost in self.broker.vhosts.values():
            for queue in list(vhost.queues.values()):
                vhost.remove_queue(queue)
            for exchange in [each for name, each in vhost.exchanges.items() if name and not name.startswith("amq.")]:
                if not exchange.deleted:
                    vhost.remove_exchange(exchange)
        self.commit()

    def check_account(self) -> None:
        """Law 4: nothing is unaccounted for. And with nobody connected nothing is held."""
        vhost = self.broker.vhosts["/"]
        for queue in vhost.queues.values():
            if queue.counts["unaccounted"]:
                raise BrokenBrokerError(f"queue {queue.name}: {queue.counts}, ready {queue.ready_count}, "
                                        f"unacked {queue.unacked_count}")  # fmt: skip
            if not self.endpoint.connections and (queue.consumers or queue.unacked_count or queue.unacked_bytes):
                raise BrokenBrokerError(f"queue {queue.name}: {queue.consumers}, unacked {queue.unacked_count} with "
                                        "nobody connected")  # fmt: skip
        if not self.endpoint.connections and (vhost.reply_targets or self.broker.publishing):
            raise BrokenBrokerError(f"{vhost.reply_targets}, {self.broker.publishing} with nobody connected")

    def close(self) -> None:
        """Give everything back."""
        self.store.close()


@contextmanager
def watched() -> Iterator[None]:
    """Raises BrokenBrokerError at the end for what the broker logged as an error, or could not raise."""
    alarmed = Alarmed()
    unraisable: list[Any] = []
    logger, hook = logging.getLogger("hubbub"), sys.unraisablehook
    level, propagate = logger.level, logger.propagate
    logger.addHandler(alarmed)
    logger.propagate = False
    logger.setLevel(logging.ERROR)
    sys.unraisablehook = unraisable.append
    try:
        yield
    finally:
        sys.unraisablehook = hook
        logger.setLevel(level)
        logger.propagate = propagate
        logger.removeHandler(alarmed)
    if alarmed.records:
        record = alarmed.records[0]
        raise BrokenBrokerError(record.getMessage()) from (record.exc_info[1] if record.exc_info else None)
    if unraisable:
        raise BrokenBrokerError(f"ignored in {unraisable[0].object!r}") from unraisable[0].exc_value
