"""Delayed messages: due in order, once, from what is committed; listed, cancelled, kept over a restart."""

from types import SimpleNamespace

import pytest

from broker.core import delayed as module
from broker.core.clock import ManualClock
from broker.core.delayed import Delayed, delay_ms
from broker.core.message import Message
from broker.core.properties import encode_properties, header_value
from storage.layout import Database
from storage.memory_store import MemoryStore
from tests.support.fake_store import FakeStore, FakeWaiter

EXCHANGE = SimpleNamespace(name="x")
VHOST = SimpleNamespace(name="/")


class Scene:
    """A store, a clock moved by hand, and what was published."""

    def __init__(self) -> None:
        self.store = FakeStore()
        self.clock = ManualClock()
        self.published: list[tuple[str, str, bytes, bytes]] = []
        self.delayed = self.start()

    def start(self) -> Delayed:
        delayed = Delayed(self.store, self.clock, self.publish)
        delayed.restore()
        return delayed

    def publish(self, vhost: str, exchange: str, message: Message) -> None:
        if message.body == b"poison":
            raise RuntimeError("cannot be routed")
        self.published.append((vhost, exchange, message.routing_key, message.body))
        self.last = message

    def schedule(self, delay: object, body: bytes = b"", exchange: object = EXCHANGE, vhost: object = VHOST) -> bool:
        message = Message(b"x", b"key", encode_properties({"headers": {"x-delay": delay}, "priority": 3}), body)
        return self.delayed.schedule(vhost, exchange, message)

    def stored(self) -> int:
        return len(self.store.databases.get(Database.DELAYED, {}))

    @property
    def bodies(self) -> list[bytes]:
        return [body for *_, body in self.published]

    def pass_ms(self, ms: int) -> None:
        """Time goes on, and each turn's batch is committed."""
        self.clock.pass_ms(ms)
        self.store.commit()


@pytest.fixture
def scene(monkeypatch) -> Scene:
    monkeypatch.setattr(module, "CallbackWaiter", FakeWaiter)
    return Scene()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 1), (5000, 5000), ("5000", 5000), (" 7 ", 7), ("+7", 7), (1500.9, 1500), (2**32 - 1, 2**32 - 1),
        (2**32, 2**32 - 1), (2**62, 2**32 - 1), (0, 0), (-1, 0), ("-1", 0), ("", 0), ("soon", 0), ("1.5", 0), ("²", 0),
        (None, 0), (True, 0), ([], 0), (float("nan"), 0), (float("inf"), 0), ("9" * 30, 0),
    ],
)  # fmt: skip
def test_x_delay_is_a_positive_number_of_milliseconds_or_nothing(value, expected):
    assert delay_ms(encode_properties({"headers": {"x-delay": value}})) == expected


def test_without_the_header_there_is_no_delay(scene):
    assert delay_ms(b"\0\0") == 0
    assert not scene.delayed.schedule(VHOST, EXCHANGE, Message(b"x", b"key", b"\0\0", b""))
    scene.store.commit()
    assert scene.stored() == 0


def test_a_message_comes_when_its_time_has_come_and_not_before(scene):
    assert scene.schedule(1000, b"late")
    scene.store.commit()
    scene.pass_ms(999)
    assert scene.published == []
    scene.pass_ms(1)
    assert scene.published == [("/", "x", b"key", b"late")]
    assert scene.stored() == 0
    scene.pass_ms(100_000)
    assert len(scene.published) == 1


def test_what_is_published_says_how_long_it_waited_and_keeps_its_properties(scene):
    scene.schedule(1000)
    scene.store.commit()
    scene.pass_ms(1000)
    assert header_value(scene.last.raw_properties, "x-delay") == -1000
    assert scene.last.properties["priority"] == 3
    # … so that another delayed exchange behind this one lets it pass.
    assert not scene.delayed.schedule(VHOST, EXCHANGE, scene.last)


def test_messages_come_in_order_of_due_time_then_of_arrival(scene):
    for delay, body in [(300, b"c"), (100, b"a"), (200, b"b1"), (200, b"b2"), (200, b"b3")]:
        scene.schedule(delay, body)
    scene.store.commit()
    for _ in range(4):
        scene.pass_ms(100)
    assert scene.bodies == [b"a", b"b1", b"b2", b"b3", b"c"]


def test_a_message_that_is_not_committed_when_it_is_due_comes_with_the_commit(scene):
    scene.schedule(5)
    scene.clock.pass_ms(50)
    assert scene.published == []
    scene.store.commit()
    scene.clock.pass_ms(0)
    assert len(scene.published) == 1


def test_a_message_due_earlier_than_all_others_moves_the_timer_forward(scene):
    scene.schedule(10_000, b"late")
    scene.store.commit()
    scene.schedule(10, b"early")
    scene.store.commit()
    scene.pass_ms(10)
    assert scene.bodies == [b"early"]


def test_nothing_is_published_twice_while_its_delete_is_on_its_way(scene):
    scene.schedule(10, b"first")
    scene.store.commit()
    scene.clock.pass_ms(10)
    scene.schedule(10, b"second")
    scene.clock.pass_ms(1000)
    assert scene.bodies == [b"first"]
    scene.store.commit()
    scene.clock.pass_ms(0)
    assert scene.bodies == [b"first", b"second"]


def test_a_flood_comes_in_slices_one_per_commit(scene):
    for number in range(600):
        scene.schedule(10, b"%d" % number)
    scene.store.commit()
    counts = []
    scene.clock.pass_ms(10)
    for _ in range(3):
        counts.append(len(scene.published))
        scene.store.commit()
        scene.clock.pass_ms(0)
    assert counts == [256, 512, 600]
    assert scene.bodies == [b"%d" % number for number in range(600)]
    scene.store.commit()
    assert scene.stored() == 0


def test_a_restart_forgets_nothing_and_repeats_nothing(scene):
    scene.schedule(100, b"a")
    scene.schedule(200, b"b")
    scene.store.commit()
    scene.pass_ms(100)
    scene.clock = ManualClock(scene.clock.now_ms + 1_000_000)
    scene.delayed = scene.start()
    scene.pass_ms(0)
    assert scene.bodies == [b"a", b"b"]


def test_numbers_go_on_after_a_restart_so_that_no_entry_replaces_another(scene):
    scene.schedule(100, b"before")
    scene.store.commit()
    scene.clock = ManualClock(scene.clock.now_ms + 1)
    scene.delayed = scene.start()
    scene.schedule(99, b"after")
    scene.store.commit()
    assert scene.stored() == 2
    scene.pass_ms(99)
    assert scene.bodies == [b"before", b"after"]


def test_a_batch_that_is_lost_is_tried_again_later(scene):
    scene.schedule(10, b"again")
    scene.store.commit()
    scene.clock.pass_ms(10)
    scene.store.refuse()
    scene.clock.pass_ms(999)
    assert len(scene.published) == 1
    scene.clock.pass_ms(1)
    scene.store.commit()
    assert (len(scene.published), scene.stored()) == (2, 0)


def test_one_that_cannot_be_published_does_not_hold_up_the_others(scene, caplog):
    for body in (b"poison", b"good"):
        scene.schedule(10, body)
    scene.store.commit()
    scene.store.databases[Database.DELAYED][b"\0" * 16] = b"garbage"
    scene.pass_ms(10)
    assert scene.bodies == [b"good"]
    assert (scene.delayed.failed, scene.delayed.published, scene.stored()) == (2, 1, 0)
    assert "could not be published" in caplog.text


# ── the operator ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_messages_are_listed_in_order_by_vhost_and_exchange(scene):
    other_vhost, other_exchange = SimpleNamespace(name="v"), SimpleNamespace(name="y")
    scene.schedule(300, b"three")
    scene.schedule(100, b"one", exchange=other_exchange)
    scene.schedule(200, b"two", vhost=other_vhost)
    assert scene.delayed.listing() == ([], "")
    scene.store.commit()
    listed, after = scene.delayed.listing()
    assert after == ""
    assert [(entry.vhost, entry.exchange, entry.body_size) for entry in listed] == [
        ("/", "y", 3), ("v", "x", 3), ("/", "x", 5),
    ]  # fmt: skip
    assert listed[0].due_ms == scene.clock.now_ms + 100
    assert listed[0].routing_key == b"key"
    assert [entry.body_size for entry in scene.delayed.listing("/", "x")[0]] == [5]
    assert [entry.due_ms for entry in scene.delayed.listing("v")[0]] == [scene.clock.now_ms + 200]


def test_a_long_list_comes_in_pages(scene):
    for _ in range(7):
        scene.schedule(100)
    scene.store.commit()
    seen, after = [], ""
    for _ in range(3):
        page, after = scene.delayed.listing(limit=3, after=after)
        seen += [entry.id for entry in page]
    assert (len(seen), len(set(seen)), after) == (7, 7, "")


def test_a_listing_looks_at_a_bounded_number_of_entries(scene):
    for _ in range(1500):
        scene.schedule(100)
    scene.schedule(200, exchange=SimpleNamespace(name="rare"))
    scene.store.commit()
    page, after = scene.delayed.listing(exchange="rare")
    assert page == []
    page, after = scene.delayed.listing(exchange="rare", after=after)
    assert (len(page), after) == (1, "")


def test_a_cancelled_message_never_comes(scene):
    for body in (b"no", b"yes"):
        scene.schedule(100, body)
    scene.store.commit()
    cancelled = scene.delayed.listing()[0][0].id
    assert scene.delayed.cancel(cancelled)
    assert not scene.delayed.cancel(cancelled)
    assert len(scene.delayed.listing()[0]) == 1
    scene.clock.pass_ms(200)
    scene.store.commit()
    scene.clock.pass_ms(0)
    assert scene.bodies == [b"yes"]
    assert not scene.delayed.cancel(cancelled)
    assert (scene.delayed.scheduled, scene.delayed.cancelled, scene.delayed.published) == (2, 1, 1)


@pytest.mark.parametrize("entry_id", ["", "00", "ff" * 16, "not hex", "é"])
def test_an_id_that_is_not_there_cancels_nothing(scene, entry_id):
    assert not scene.delayed.cancel(entry_id)
    assert scene.store.pending == []


def test_memory_does_not_grow_with_what_waits(scene):
    for _ in range(500):
        scene.schedule(100_000)
    scene.store.commit()
    assert scene.delayed.going == set()
    assert scene.store.scans <= 2


def test_with_the_real_memory_store_all_messages_come_once():
    store, clock, bodies = MemoryStore(), ManualClock(), []
    store.restore(set())
    delayed = Delayed(store, clock, lambda vhost, exchange, message: bodies.append(message.body))
    delayed.restore()
    for number in range(600):
        properties = encode_properties({"headers": {"x-delay": 10 + number % 3}})
        assert delayed.schedule(VHOST, EXCHANGE, Message(b"x", b"key", properties, b"%d" % number))
    for _ in range(20):
        store.seal()
        store.collect()
        clock.pass_ms(1)
    assert sorted(bodies, key=int) == [b"%d" % number for number in range(600)]
    assert delayed.listing() == ([], "")
