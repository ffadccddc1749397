"""A blocking AMQP client that costs next to nothing: what it sends stands ready as bytes, what comes is counted.

Owns the socket and the handshake. Methods are counted by their class and method numbers as they stand in the bytes,
which bodies of one letter cannot contain; so a client in Python follows a million messages a second, and the broker is
what is measured.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from broker.amqp.codec import method_frame

from ..micro.peer import CHANNEL_OPEN, PROTOCOL_HEADER, START_OK, ack

RECEIVE_BYTES = 1 << 18
TIMEOUT_S = 20
DELIVER, GET_OK, ACK, RETURN = b"\0\x3c\0\x3c", b"\0\x3c\0\x47", b"\0\x3c\0\x50", b"\0\x3c\0\x32"
ACK_BYTES = len(ack(1, multiple=False))
FRAME_MAX = 131_072


class Client:
    """One connection with channel 1 open."""

    def __init__(self, port: int) -> None:
        """Connects and logs in as guest."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.send = self.socket.sendall
        self.tail = self.kept = b""
        tune_ok = method_frame(0, "connection.tune-ok", 2047, FRAME_MAX, 0)
        for piece in (PROTOCOL_HEADER, START_OK, tune_ok + method_frame(0, "connection.open", "/", "", False)):
            self.ask(piece)
        self.ask(CHANNEL_OPEN)

    def receive(self) -> bytes:
        """What has come, at least one byte."""
        if self.kept:
            received, self.kept = self.kept, b""
            return received
        received = self.socket.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionError("the broker has closed the connection")
        return received

    def ask(self, frames: bytes) -> bytes:
        """Send and wait for one answer, a whole frame."""
        self.send(frames)
        received = self.receive()
        while len(received) < 8 or len(received) < int.from_bytes(received[3:7], "big") + 8:
            received += self.receive()
        end = int.from_bytes(received[3:7], "big") + 8
        received, self.kept = received[:end], received[end:]
        if received[7:11] == b"\0\x14\0\x28":  # channel.close
            raise ConnectionError(received.decode("latin-1"))
        return received

    def call(self, name: str, *arguments: object) -> bytes:
        """A method of channel 1 and its answer."""
        return self.ask(method_frame(1, name, *arguments))

    def count(self, method: bytes) -> int:
        """Receive once; how many such methods have begun in it. A method's number may be cut by the end of a read."""
        received = self.tail + self.receive()
        self.tail = received[-3:]
        return received.count(method)

    def wait_for(self, method: bytes, count: int) -> None:
        """Receive until so many have come."""
        while count > 0:
            count -= self.count(method)

    def declare(self, queue: str, *, durable: bool = False, **arguments: object) -> None:
        """A queue, new and empty."""
        self.delete(queue)
        dashed = {name.replace("_", "-"): value for name, value in arguments.items()}
        self.call("queue.declare", 0, queue, False, durable, False, False, False, dashed)

    def delete(self, queue: str) -> None:
        """Delete the queue with all that is in it."""
        self.call("queue.delete", 0, queue, False, False, False)

    def consume(self, queue: str, *, no_ack: bool = False, prefetch: int = 0, tag: str = "c") -> None:
        """basic.consume, after basic.qos where a prefetch count is given."""
        if prefetch:
            self.call("basic.qos", 0, prefetch, False)
        self.call("basic.consume", 0, queue, tag, False, no_ack, False, False, {})


class Acks:
    """Acknowledgements one by one, in order, as many as one likes."""

    def __init__(self, count: int = 1 << 16, negative: bytes = b"") -> None:
        """`negative`: a frame with tag 0 in place of basic.ack's."""
        self.frames = b"".join(
            negative[:11] + tag.to_bytes(8, "big") + negative[19:] if negative else ack(tag, multiple=False)
            for tag in range(1, count + 1)
        )
        self.size = len(negative) or ACK_BYTES
        self.count = count
        self.next = 0

    def take(self, count: int) -> bytes:
        """The next so many."""
        if self.next + count > self.count:
            self.extend(count)
        at = self.next * self.size
        self.next += count
        return self.frames[at : at + count * self.size]

    def extend(self, count: int) -> None:
        """More tags are needed than were made."""
        head, end = self.frames[:11], self.frames[19 : self.size]
        more = range(self.count + 1, self.count + max(count, self.count) + 1)
        self.frames += b"".join(head + tag.to_bytes(8, "big") + end for tag in more)
        self.count += len(more)


@contextmanager
def clients(port: int, count: int) -> Iterator[list[Client]]:
    """So many connections, closed at the end."""
    with ExitStack() as stack:
        made = []
        for _ in range(count):
            made.append(Client(port))
            stack.callback(made[-1].socket.close)
        yield made
