"""Whatever is done to a store, in whatever order, with crashes in between: it remembers what the oracle remembers."""

from __future__ import annotations

import select
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from storage import replay
from storage.batch_store import BatchStore
from storage.layout import META_JOURNAL, Database
from storage.lmdb_store import LmdbStore
from storage.memory_store import MemoryStore
from storage.view import StoredMessage, StoreView
from tests.oracles.store import Slot, StoreOracle

QUEUES = range(4)
BODIES = st.one_of(
    st.binary(max_size=30),
    st.integers(0, 40_000).map(lambda size: b"b" * size),
    st.sampled_from([b"L" * 2**20, b"L" * (2**20 + 1), b"L" * 2_500_000]),
)


class StoreMachine(RuleBasedStateMachine):
    """One store under random use. Subclasses say which."""

    def make(self, **settings: Any) -> BatchStore:
        raise NotImplementedError

    @initialize(
        segment_bytes_max=st.sampled_from([1, 3_000, 100_000, 4_194_304]),
        tidy_ms=st.sampled_from([0, 1000]),
        journal_bytes=st.sampled_from([0, 1 << 17, 1 << 20, 1 << 23]),
        checkpoint_ms=st.sampled_from([0, 20, 1_000_000]),
    )
    def start(self, segment_bytes_max: int, tidy_ms: int, journal_bytes: int, checkpoint_ms: int) -> None:
        self.settings = {"segment_bytes_max": segment_bytes_max, "tidy_ms": tidy_ms}
        self.journal_settings: dict[str, Any] = {"journal_bytes": journal_bytes, "checkpoint_ms": checkpoint_ms}
        self.oracle = StoreOracle()
        self.in_flight = False
        self.position = 0
        self.last: StoredMessage | None = None
        self.state: replay.State = replay.empty_state()
        self.open(set())

    def open(self, known: set[int]) -> list[tuple[int, int, int, int, int, int]]:
        self.store = self.make(**self.settings)
        self.view = StoreView(self.store)
        self.state = {int(each): dict(self.store.scan(each, b"", None, 10**9)) for each in Database}
        self.store.journal = lambda batch: replay.replay(batch, self.state)
        return self.store.restore(known)

    @rule(
        body=BODIES,
        queues=st.lists(st.sampled_from(QUEUES), min_size=1, max_size=5),
        flags=st.sampled_from([0, 1, 1, 1, 3]),
        priority=st.integers(0, 255),
        expires_at_ms=st.integers(0, 2**62),
        again=st.booleans(),
        count=st.integers(1, 30),
        then=st.sampled_from(["", "seal", "commit", "commit"]),
    )
    def append(
        self,
        body: bytes,
        queues: list[int],
        flags: int,
        priority: int,
        expires_at_ms: int,
        again: bool,
        count: int,
        then: str,
    ) -> None:
        message = self.last if again and self.last is not None else StoredMessage(body, routing_key=body[:9])
        self.last = message
        for queue_id in queues * (count if len(message.body) < 50_000 else 1):
            self.position += 1
            place = self.view.append(
                message, queue_id, self.position, flags=flags, priority=priority, expires_at_ms=expires_at_ms
            )
            assert place not in self.oracle.now.slots
            self.oracle.now.slots[place] = Slot(
                queue_id, self.position, expires_at_ms, priority, flags, message.body, message.routing_key
            )
            if not again and len(message.body) < 50_000:
                message = StoredMessage(body, routing_key=body[:9])
        if then:
            self.seal()
        if then == "commit":
            self.collect()

    @precondition(lambda self: self.oracle.now.slots)
    @rule(source=st.data(), most=st.booleans())
    def settle(self, source: st.DataObject, most: bool) -> None:
        places = sorted(self.oracle.now.slots)
        chosen = (
            places[source.draw(st.integers(0, 2)) :: source.draw(st.integers(1, 2))]
            if most
            else source.draw(st.lists(st.sampled_from(places), max_size=8))
        )
        for place in chosen:
            self.view.settle(*place)
            self.oracle.now.slots.pop(place, None)

    @precondition(lambda self: self.oracle.now.slots)
    @rule(source=st.data(), queue_id=st.sampled_from(QUEUES))
    def settle_from(self, source: st.DataObject, queue_id: int) -> None:
        segment, slot = source.draw(st.sampled_from(sorted(self.oracle.now.slots)))
        first_slot = source.draw(st.sampled_from([0, slot]))
        self.view.settle_from(segment, queue_id, first_slot)
        self.oracle.settle_from(segment, queue_id, first_slot)

    @rule(key=st.binary(min_size=1, max_size=3), value=st.one_of(st.none(), st.binary(max_size=5000)))
    def change_pair(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.store.delete(Database.SESSIONS, key)
            self.oracle.now.pairs.pop(key, None)
        else:
            self.store.put(Database.SESSIONS, key, value)
            self.oracle.now.pairs[key] = value

    @rule()
    def seal(self) -> None:
        if self.store.seal():
            self.in_flight = True
            self.oracle.seal()

    def commit(self) -> None:
        """The batch in flight is on disk, whether the broker has noticed or not."""
        if self.in_flight:
            assert select.select([self.store.notify_fd], [], [], 10)[0]
            self.oracle.commit()

    @rule()
    def collect(self) -> None:
        self.commit()
        self.store.collect()
        self.in_flight = False

    @rule()
    def rest(self) -> None:
        """A few batches in which no segment is touched: what is sparse gets compacted."""
        for _ in range(3):
            self.store.put(Database.SESSIONS, b"rest", b"")
            self.oracle.now.pairs[b"rest"] = b""
            self.collect()
            self.seal()
        self.collect()

    @rule(known=st.sets(st.sampled_from(QUEUES), min_size=2), seldom=st.integers(0, 3))
    def crash(self, known: set[int], seldom: int) -> None:
        if seldom:
            return
        self.commit()
        self.store.abandon()
        self.in_flight = False
        self.oracle.crash(known)
        found = self.open(known)
        assert sorted(line[:5] for line in found) == self.oracle.restored()
        assert [line[1] for line in found] == sorted(line[1] for line in found)
        for queue_id, segment, _, _, _, last_position in found:
            assert last_position >= max(
                slot.position
                for place, slot in self.oracle.now.slots.items()
                if place[0] == segment and slot.queue_id == queue_id
            )

    @rule()
    def checkpoint(self) -> None:
        """What is journaled goes to LMDB: nothing that can be seen changes."""
        if isinstance(self.store, LmdbStore):
            self.store.checkpoint()

    @rule()
    def look(self) -> None:
        self.collect()
        expected: dict[tuple[int, int], list[tuple[Any, ...]]] = {}
        for place, slot in sorted(self.oracle.now.slots.items()):
            expected.setdefault((place[0], slot.queue_id), []).append((
                place[1], slot.position, slot.expires_at_ms, slot.priority, slot.flags, slot.body, slot.routing_key
            ))  # fmt: skip
        for (segment, queue_id), lines in expected.items():
            if self.view.is_stored(segment):
                found = self.view.load(segment, queue_id)
                assert [(*line[:5], line[5].body, line[5].routing_key) for line in found] == lines
        assert dict(self.store.scan(Database.SESSIONS, b"", None, 10**9)) == self.oracle.committed.pairs

    @invariant()
    def counts_agree(self) -> None:
        if hasattr(self, "store") and not self.in_flight:
            assert dict(self.store.scan(Database.SESSIONS, b"", None, 10**9)) == self.oracle.committed.pairs

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        self.collect()
        self.store.sync()
        for each in Database:  # the state after replay is the live state
            found = dict(self.store.scan(each, b"", None, 10**9))
            for pairs in (found, self.state[each]):
                pairs.pop(META_JOURNAL, None)  # no batch puts it: it says how far LMDB is behind the journal
            assert found == self.state[each], each.name
        for place in sorted(self.oracle.now.slots):
            self.view.settle(*place)
        self.store.sync()
        for each in (Database.SEGMENTS, Database.SETTLED, Database.CHUNKS):
            assert self.store.scan(each, b"", None, 10) == [], each.name
        self.store.abandon()


class MemoryMachine(StoreMachine):
    def make(self, **settings: Any) -> BatchStore:
        before = getattr(self, "store", None)
        return MemoryStore(state=before.state if isinstance(before, MemoryStore) else None, **settings)


class LmdbMachine(StoreMachine):
    def make(self, **settings: Any) -> BatchStore:
        if not hasattr(self, "directory"):
            shared = "/dev/shm" if Path("/dev/shm").is_dir() else None
            self.directory = Path(tempfile.mkdtemp(prefix="hubbub-store-", dir=shared))
        return LmdbStore(self.directory, disk_free_min_bytes=0, map_bytes=1 << 20, **self.journal_settings, **settings)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            if hasattr(self, "directory"):
                shutil.rmtree(self.directory)


SETTINGS = settings(max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck))

TestMemoryStore = MemoryMachine.TestCase
TestMemoryStore.settings = SETTINGS
TestLmdbStore = LmdbMachine.TestCase
TestLmdbStore.settings = SETTINGS
