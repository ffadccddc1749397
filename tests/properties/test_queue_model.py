"""The core against an obvious model: two queues that may dead-letter into each other, whatever happens to them.

Every step goes through real frames of one AMQP connection. After each: what was delivered, in which order and with
which `redelivered`, what is ready and unacked, the ledger, and that nothing is unaccounted for.
"""

from __future__ import annotations

import tempfile
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from broker.core.clock import ManualClock
from storage.lmdb_store import LmdbStore
from storage.memory_store import MemoryStore
from tests.oracles.queue import Arguments, BrokerOracle, Consumer, Entry, QueueOracle
from tests.support.peer import Content, Core, Peer, cheap_passwords

NAMES = ("a", "b")
OTHER = {"a": "b", "b": "a"}
GET_CHANNEL = {"a": 1, "b": 2}
CONSUMER_CHANNELS = (3, 4, 5, 6)
GREATEST = 1 << 60

queue_names = st.sampled_from(NAMES)
queue_arguments = st.builds(
    Arguments,
    durable=st.sampled_from([True, True, False]),
    max_length=st.sampled_from([None, None, None, None, 0, 1, 3, 6]),
    max_length_bytes=st.sampled_from([None, None, None, None, None, 0, 40, 200]),
    overflow=st.sampled_from(["drop-head", "drop-head", "reject-publish", "reject-publish-dlx", "drop-tail"]),
    message_ttl_ms=st.sampled_from([None, None, None, None, 0, 30, 100]),
    max_priority=st.sampled_from([0, 0, 2]),
    delivery_limit=st.sampled_from([None, None, None, 0, 2]),
)


def declared(arguments: Arguments) -> dict[str, Any]:
    """Arguments of queue.declare, without those that are not set."""
    table: dict[str, Any] = {
        "max_length": arguments.max_length,
        "max_length_bytes": arguments.max_length_bytes,
        "overflow": arguments.overflow,
        "message_ttl": arguments.message_ttl_ms,
        "max_priority": arguments.max_priority or None,
        "delivery_limit": arguments.delivery_limit,
        "dead_letter_exchange": None if arguments.dead_letter_to is None else "",
        "dead_letter_routing_key": arguments.dead_letter_to,
    }
    return {name: value for name, value in table.items() if value is not None}


class QueueModel(RuleBasedStateMachine):
    """Each rule does a step to the broker, then the same to the oracle, telling it who got what."""

    def make_store(self, state: Any) -> Any:
        """A new store, or what an earlier one left."""
        return MemoryStore(state=state)

    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.consumers: dict[int, Consumer] = {}  # by channel
        self.tags: dict[int, list[tuple[int, QueueOracle, Entry, Consumer | None]]] = {}  # unacked, by channel
        self.observed: dict[str, list[Content]] = {name: [] for name in NAMES}

    @initialize(
        arguments=st.tuples(queue_arguments, queue_arguments),
        dead_letters=st.tuples(st.booleans(), st.booleans()),
        memory_bytes_max=st.sampled_from([GREATEST, GREATEST, 0, 500]),
    )
    def begin(
        self, arguments: tuple[Arguments, Arguments], dead_letters: tuple[bool, bool], memory_bytes_max: int
    ) -> None:
        wanted = {
            name: Arguments(**{**vars_of(each), "dead_letter_to": OTHER[name] if dead else None})
            for name, each, dead in zip(NAMES, arguments, dead_letters, strict=True)
        }
        self.memory_bytes_max = memory_bytes_max
        self.open(None, ManualClock())
        for name, each in wanted.items():
            self.peer.declare(name, durable=each.durable, **declared(each))
        self.core.commit()
        self.oracle = BrokerOracle(wanted, self.core.clock.now_ms)
        self.oracle.choose = self.choose
        self.oracle.delivered = self.delivered

    def open(self, state: Any, clock: ManualClock) -> None:
        self.core = Core(self.make_store(state), clock, queue_memory_bytes_max=self.memory_bytes_max)
        self.peer: Peer = self.core.connect()
        for channel in (2, *CONSUMER_CHANNELS):
            self.peer.call("channel.open", channel)
        self.tags = {channel: [] for channel in (1, 2, *CONSUMER_CHANNELS)}
        self.consumers = {}

    # ── the oracle asks ───────────────────────────────────────────────────────────────────────────────────────────

    def choose(self, queue: QueueOracle, entry: Entry, candidates: list[Consumer]) -> Consumer:
        assert self.observed[queue.name], f"{entry} of queue {queue.name} was not delivered"
        content = self.observed[queue.name].pop(0)
        assert (content.body, content.redelivered) == (entry.body, entry.redelivered)
        assert content.properties.get("headers", {}).get("x-delivery-count", 0) == (
            entry.delivery_count if queue.arguments.delivery_limit is not None else 0
        )
        chosen = [consumer for consumer in candidates if consumer.tag == content.fields["consumer_tag"]]
        assert chosen, f"{content} went to a consumer without credit"
        self.last = content
        return chosen[0]

    def delivered(self, consumer: Consumer, entry: Entry) -> None:
        self.tags[self.last.channel].append((self.last.tag, consumer.queue, entry, consumer))

    def observe(self) -> None:
        """Sort what was delivered by queue."""
        self.core.pass_ms(0)
        by_tag = {consumer.tag: consumer.queue.name for consumer in self.consumers.values()}
        for content in self.peer.deliveries():
            self.observed[by_tag[content.fields["consumer_tag"]]].append(content)

    def compare(self) -> None:
        self.oracle.pass_ms(0)
        assert not any(self.observed.values()), f"delivered, but not expected: {self.observed}"
        for name in NAMES:
            queue, expected = self.core.queue(name), self.oracle.queues[name]
            assert queue.ready_count == len(expected.ready)
            assert queue.ready_bytes == expected.ready_bytes()
            assert queue.unacked_count == len(expected.unacked)
            assert queue.unacked_bytes == sum(len(entry.body) for entry in expected.unacked)
            counts = queue.counts
            assert counts["unaccounted"] == 0
            assert {word: count for word, count in counts.items() if count} == expected.counts

    # ── rules ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(
        name=queue_names,
        persistent=st.booleans(),
        ttl_ms=st.sampled_from([None, None, None, None, None, 0, 20, 50]),
        priority=st.integers(0, 3),
        size=st.integers(0, 40),
        times=st.integers(1, 4),
    )
    def publish(self, name: str, persistent: bool, ttl_ms: int | None, priority: int, size: int, times: int) -> None:
        for _ in range(times):
            self.number += 1
            body = b"%d:" % self.number + b"." * size
            properties: dict[str, Any] = {"delivery_mode": 2 if persistent else 1, "priority": priority}
            if ttl_ms is not None:
                properties["expiration"] = str(ttl_ms)
            self.peer.publish(name, body, **properties)
            self.observe()
            self.oracle.queues[name].accept(Entry(body, persistent, priority, ttl_ms))
            self.compare()

    @rule(
        channel=st.sampled_from(CONSUMER_CHANNELS), name=queue_names, prefetch=st.integers(0, 3), no_ack=st.booleans()
    )
    def consume(self, channel: int, name: str, prefetch: int, no_ack: bool) -> None:
        if channel in self.consumers or self.tags[channel]:
            return
        self.peer.call("basic.qos", channel, prefetch_count=prefetch)
        queue = self.oracle.queues[name]
        consumer = Consumer(f"c{channel}", queue, no_ack, prefetch)
        self.consumers[channel] = consumer
        self.peer.consume(name, consumer.tag, channel=channel, no_ack=no_ack)
        self.observe()
        queue.consumers.append(consumer)
        queue.deliver()
        self.compare()

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        channel = data.draw(st.sampled_from(sorted(self.consumers)))
        self.peer.call("basic.cancel", channel, consumer_tag=self.consumers[channel].tag)
        self.observe()
        consumer = self.consumers.pop(channel)
        consumer.queue.consumers.remove(consumer)
        consumer.queue.deliver()
        self.compare()

    @rule(name=queue_names, no_ack=st.booleans())
    def get(self, name: str, no_ack: bool) -> None:
        channel = GET_CHANNEL[name]
        content = self.peer.get(name, channel=channel, no_ack=no_ack)
        self.observe()
        queue = self.oracle.queues[name]
        entry = queue.get(no_ack)
        if entry is None:
            assert content is None
        else:
            assert content is not None
            assert (content.body, content.redelivered) == (entry.body, entry.redelivered)
            assert content.fields["message_count"] == len(queue.ready)
            if not no_ack:
                self.tags[channel].append((content.tag, queue, entry, None))
        self.compare()

    @precondition(lambda self: any(self.tags.values()))
    @rule(data=st.data(), multiple=st.booleans(), outcome=st.sampled_from(["ack", "ack", "requeue", "discard"]))
    def settle(self, data: st.DataObject, multiple: bool, outcome: str) -> None:
        channel = data.draw(st.sampled_from([channel for channel, held in sorted(self.tags.items()) if held]))
        held = self.tags[channel]
        index = data.draw(st.integers(0, len(held) - 1))
        if outcome == "ack":
            self.peer.send("basic.ack", channel, delivery_tag=held[index][0], multiple=multiple)
        else:
            self.peer.send(
                "basic.nack", channel, delivery_tag=held[index][0], multiple=multiple, requeue=outcome == "requeue"
            )
        self.observe()
        settled = held[: index + 1] if multiple else [held[index]]
        self.tags[channel] = held[index + 1 :] if multiple else held[:index] + held[index + 1 :]
        self.settle_all(settled, outcome)
        self.compare()

    def settle_all(self, settled: list[tuple[int, QueueOracle, Entry, Consumer | None]], outcome: str) -> None:
        for _, _, _, consumer in settled:
            if consumer is not None:
                consumer.unacked -= 1
        for _, queue, entry, _ in reversed(settled) if outcome == "requeue" else settled:
            queue.settle(entry, outcome)
        for queue in {queue for _, queue, _, _ in settled}:
            queue.deliver()

    @rule(channel=st.sampled_from(CONSUMER_CHANNELS))
    def close_channel(self, channel: int) -> None:
        self.peer.call("channel.close", channel)
        self.peer.call("channel.open", channel)
        self.observe()
        consumer = self.consumers.pop(channel, None)
        if consumer is not None:
            consumer.stopped = True
        self.settle_all(self.tags[channel], "requeue")
        self.tags[channel] = []
        if consumer is not None:
            consumer.queue.consumers.remove(consumer)
        self.compare()

    @rule(name=queue_names)
    def purge(self, name: str) -> None:
        answer = self.peer.call("queue.purge", queue=name)
        self.observe()
        assert answer.fields["message_count"] == self.oracle.queues[name].purge()
        self.compare()
        self.commit()

    @rule(ms=st.sampled_from([1, 10, 25, 60, 200]))
    def wait(self, ms: int) -> None:
        self.core.pass_ms(ms)
        self.observe()
        self.oracle.pass_ms(ms)
        self.compare()

    @rule()
    def commit(self) -> None:
        self.core.commit()
        self.observe()
        self.oracle.commit()
        self.compare()

    @rule(orderly=st.booleans())
    def restart(self, orderly: bool) -> None:
        if not all(queue.arguments.durable for queue in self.oracle.queues.values()):
            return
        clock = ManualClock(self.core.clock.now_ms)
        if orderly:
            self.lose_connection()
            self.oracle.commit()
            state = self.core.stop()
        else:
            state = self.core.crash()
        self.open(state, clock)
        # Before anything expires: where a crash took the newest positions with it, they are given again.
        next_positions = {name: self.core.queue(name).last_position + 1 for name in NAMES}
        self.core.pass_ms(0)
        self.oracle.restore(next_positions, orderly=orderly)
        self.compare()
        self.commit()

    @rule()
    def reconnect(self) -> None:
        self.lose_connection()
        self.peer = self.core.connect()
        for channel in (2, *CONSUMER_CHANNELS):
            self.peer.call("channel.open", channel)
        self.compare()

    def lose_connection(self) -> None:
        """Everything it held returns, channel by channel, and nobody consumes any more."""
        self.peer.connection.lost("gone")
        self.core.peers.remove(self.peer)
        for consumer in self.consumers.values():
            consumer.stopped = True
        for channel, held in self.tags.items():
            self.settle_all(held, "requeue")
            self.tags[channel] = []
        for consumer in self.consumers.values():
            consumer.queue.consumers.remove(consumer)
        self.consumers = {}
        self.core.pass_ms(0)
        self.compare()

    def teardown(self) -> None:
        if hasattr(self, "core"):
            self.core.crash()


def vars_of(arguments: Arguments) -> dict[str, Any]:
    return {name: getattr(arguments, name) for name in Arguments.__dataclass_fields__}


CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]


def test_the_core_does_what_the_model_says_and_accounts_for_everything() -> None:
    with cheap_passwords():
        run_state_machine_as_test(
            QueueModel,
            settings=settings(max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=CHECKS),
        )


class QueueModelOnDisk(QueueModel):
    """The same on LMDB: restarts open the same directory again."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()

    def make_store(self, state: Any) -> Any:
        return LmdbStore(self.directory.name, disk_free_min_bytes=0, segment_bytes_max=1000)

    def teardown(self) -> None:
        super().teardown()
        self.directory.cleanup()


def test_the_same_holds_on_disk() -> None:
    with cheap_passwords():
        run_state_machine_as_test(
            QueueModelOnDisk,
            settings=settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=CHECKS),
        )
