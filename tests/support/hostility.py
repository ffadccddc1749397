"""Watching a server while somebody mistreats it: its memory, its descriptors, and whether others are still served."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support import amqp_codec as codec
from tests.support.amqp_raw import PeerClosedError, RawConnection
from tests.support.server import Server

PAUSE_S = 0.02
ANSWER_S = 10.0


def process_id(server: Server) -> int:
    assert server.process is not None
    return server.process.pid


def anonymous_mib(server: Server) -> float:
    """RssAnon: memory that no file backs, so that a database's pages do not count."""
    status = Path(f"/proc/{process_id(server)}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found.group(1)) / 1024


def descriptors(server: Server) -> int:
    """Open file descriptors."""
    return len(os.listdir(f"/proc/{process_id(server)}/fd"))


class Bystander:
    """Somebody who behaves: publishes with confirms, and gets what it published, again and again, in a thread.

    `publishes` False: it only asks for messages, and must be served even while publishers have to wait.
    """

    def __init__(self, server: Server, *, publishes: bool = True) -> None:
        self.publishes = publishes
        self.raw = RawConnection(server.address, ANSWER_S).open().open_channel()
        self.queue = self.raw.rpc("queue.declare", exclusive=True).fields["queue"]
        self.raw.rpc("confirm.select")
        self.rounds = 0
        self.slowest_s = 0.0
        self.error: BaseException | None = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.round()
                self.stopping.wait(PAUSE_S)
        except (AssertionError, OSError, PeerClosedError) as error:
            self.error = error

    def round(self) -> None:
        started = time.monotonic()
        body = b"%d" % self.rounds
        if self.publishes:
            self.raw.publish("", self.queue, body)
            self.raw.expect("basic.ack")
        self.raw.send("basic.get", queue=self.queue, no_ack=True)
        assert self.raw.expect("basic.get-ok" if self.publishes else "basic.get-empty").body in (body, b"")
        self.rounds += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)

    def finish(self) -> None:
        """One more round after all that happened, and the verdict."""
        self.stopping.set()
        self.thread.join(ANSWER_S + 1)
        assert self.error is None, f"after {self.rounds} rounds: {self.error!r}"
        self.round()
        self.raw.close()


@contextlib.contextmanager
def others_are_served(server: Server, *, publishes: bool = True) -> Iterator[Bystander]:
    """Around mistreatment: a bystander is served all the time, the server survives, and its log holds no traceback."""
    bystander = Bystander(server, publishes=publishes)
    bystander.thread.start()
    yield bystander
    bystander.finish()
    assert server.process is not None
    assert server.process.poll() is None, "the server has ended"
    server.assert_clean()


def publishes(queue: str, body: bytes, count: int, channel: int = 1, **properties: object) -> bytes:
    """The frames of `count` equal messages to one queue."""
    one = codec.encode_frame(codec.FRAME_METHOD, channel, codec.encode_method("basic.publish", routing_key=queue))
    one += codec.encode_frame(codec.FRAME_HEADER, channel, codec.encode_header(len(body), dict(properties)))
    for start in range(0, len(body), 131_064):
        one += codec.encode_frame(codec.FRAME_BODY, channel, body[start : start + 131_064])
    return one * count


def fill(raw: RawConnection, queue: str, body: bytes, count: int) -> None:
    """Put `count` persistent messages into a queue, each confirmed, at most 20,000 ahead of the confirms."""
    channel = 2047
    raw.open_channel(channel)
    raw.rpc("confirm.select", channel)
    said = confirmed = 0
    chunk = publishes(queue, body, 1000, channel, delivery_mode=2)
    while confirmed < count:
        if said < count and said - confirmed < 20_000:
            left = min(1000, count - said)
            raw.send_bytes(chunk if left == 1000 else publishes(queue, body, left, channel, delivery_mode=2))
            said += left
        else:
            ack = raw.expect("basic.ack")
            confirmed = ack.fields["delivery_tag"]
    raw.rpc("channel.close", channel)
