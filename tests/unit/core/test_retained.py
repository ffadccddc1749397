"""Retained messages: set, cleared, found, expired, limited; written once per batch, kept over a restart."""

import pytest

from broker.core.clock import ManualClock
from broker.core.message import Message
from broker.core.properties import encode_properties
from broker.core.retained import RetainedMessages
from broker.limits import Limits
from storage.interface import CallbackWaiter
from storage.layout import Database
from storage.lmdb_store import LmdbStore
from storage.memory_store import MemoryStore

STORED, REFUSED = 2, 4


class Scene:
    """A vhost's retained messages over a store in memory, with a clock moved by hand."""

    def __init__(self, **limits: int) -> None:
        self.limits = Limits(**limits)
        self.clock = ManualClock()
        self.store = MemoryStore()
        self.store.restore(set())
        self.retained = self.open()

    def open(self, vhost: str = "/") -> RetainedMessages:
        retained = RetainedMessages(vhost, self.store, self.clock, self.limits)
        retained.restore()
        return retained

    def restart(self, *, crash: bool = False) -> None:
        """As a process would: with what was committed, or after a crash."""
        if not crash:
            self.store.sync()
        state = self.store.state
        self.store.abandon()
        self.store = MemoryStore(state=state)
        self.store.restore(set())
        self.retained = self.open()

    def keep(self, topic: bytes, body: bytes, **properties: object) -> int:
        return self.retained.keep(Message(b"amq.topic", topic, encode_properties(properties), body))

    def found(self, topic_filter: bytes) -> dict[bytes, bytes]:
        found = [each.message for each in self.retained.matches(topic_filter)]
        return {message.routing_key: message.body for message in found}

    def values(self) -> dict[bytes, bytes]:
        return self.store.state[Database.RETAINED]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_the_last_message_of_a_topic_is_found_by_later_subscribers_mqtt_3_3_1_5(scene):
    scene.keep(b"a.b", b"first")
    scene.keep(b"a.b", b"second")
    scene.keep(b"a.c", b"other")

    assert scene.found(b"a.b") == {b"a.b": b"second"}
    assert scene.found(b"a.*") == scene.found(b"#") == {b"a.b": b"second", b"a.c": b"other"}
    assert scene.found(b"x") == {}
    assert scene.retained.counts["messages"] == 2


def test_an_empty_message_clears_its_topic_and_is_not_retained_mqtt_3_3_1_6(scene):
    scene.keep(b"a", b"1")
    assert scene.keep(b"a", b"") == STORED

    assert scene.found(b"#") == {}
    assert len(scene.retained) == 0
    assert scene.retained.counts["bytes"] == 0
    scene.restart()
    assert scene.found(b"#") == {}
    assert scene.values() == {}


def test_a_topic_can_be_set_again_in_the_batch_that_cleared_it(scene):
    scene.keep(b"a", b"1")
    scene.store.sync()
    scene.keep(b"a", b"")
    scene.keep(b"a", b"2")

    scene.restart()

    assert scene.found(b"#") == {b"a": b"2"}


def test_setting_and_clearing_wait_for_the_disk(scene):
    assert scene.keep(b"a", b"1") == STORED
    assert scene.keep(b"nothing.there", b"") == STORED


def test_what_is_committed_survives_a_crash_and_what_is_not_does_not(scene):
    scene.keep(b"a", b"1")
    scene.store.sync()
    scene.keep(b"a", b"2")
    scene.keep(b"b", b"1")

    scene.restart(crash=True)

    assert scene.found(b"#") == {b"a": b"1"}


def test_a_topic_that_changes_a_thousand_times_in_a_batch_is_written_once(scene):
    journal: list[bytes] = []
    scene.store.journal = journal.append
    for number in range(1000):
        scene.keep(b"a", b"%d" % number)
        scene.keep(b"b", b"" if number % 2 else b"x")
    scene.store.sync()

    assert len(journal) == 1
    assert len(journal[0]) < 500
    assert scene.found(b"#") == {b"a": b"999"}
    scene.restart()
    assert scene.found(b"#") == {b"a": b"999"}


def test_everything_about_a_message_comes_back(scene):
    properties = encode_properties(
        {"content_type": "text/plain", "headers": {"k": 1}, "delivery_mode": 2, "priority": 3}
    )
    long_topic = b"t" * 1000 + b".end"  # its key in the store is cut
    scene.retained.keep(Message(b"amq.topic", long_topic, properties, b"\x00\xff" * 100))
    scene.restart()

    (retained,) = scene.retained.matches(b"#")
    message = retained.message

    assert (message.exchange, message.routing_key, message.raw_properties) == (b"amq.topic", long_topic, properties)
    assert message.body == b"\x00\xff" * 100
    assert message.is_persistent
    assert retained.expires_at_ms == 0


def test_more_than_one_slice_is_read_back(scene, monkeypatch):
    monkeypatch.setattr("storage.scanning.SLICE", 7)
    for number in range(50):
        scene.keep(b"topic.%d" % number, b"x")
    scene.restart()
    assert len(scene.found(b"topic.*")) == 50


def test_vhosts_do_not_see_each_others_topics(scene):
    other = scene.open("other")
    other.keep(Message(b"amq.topic", b"a", b"\0\0", b"of the other"))
    scene.keep(b"a", b"of the first")
    scene.restart()

    assert scene.found(b"#") == {b"a": b"of the first"}
    assert [each.message.body for each in scene.open("other").matches(b"#")] == [b"of the other"]


# ── expiry ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_expired_message_is_gone_from_memory_and_disk(scene):
    scene.keep(b"a", b"1", expiration="1000")
    scene.keep(b"b", b"1")
    scene.store.sync()
    assert len(scene.values()) == 2

    scene.clock.pass_ms(999)
    assert set(scene.found(b"#")) == {b"a", b"b"}
    scene.clock.pass_ms(1)

    assert set(scene.found(b"#")) == {b"b"}
    assert scene.retained.counts["expired"] == 1
    scene.store.sync()
    assert len(scene.values()) == 1


def test_a_message_past_its_deadline_is_not_found_even_before_the_timer_fires(scene):
    scene.keep(b"a", b"1", expiration="10")
    scene.clock.now_ms += 10  # the turn's clock is read, timers come later
    assert scene.found(b"#") == {}
    assert scene.retained.get(b"a") is None


def test_the_deadline_counts_from_publication_over_a_restart(scene):
    scene.keep(b"a", b"1", expiration="1000")
    scene.clock.pass_ms(400)
    scene.restart()
    scene.clock.pass_ms(599)
    assert scene.found(b"a") == {b"a": b"1"}
    scene.clock.pass_ms(1)
    assert scene.found(b"a") == {}
    assert len(scene.retained) == 0


@pytest.mark.parametrize(("second", "gone_after_ms"), [("2000", 2100), ("100", 200), (None, None)])
def test_setting_a_topic_again_sets_its_deadline_again(scene, second, gone_after_ms):
    scene.keep(b"a", b"1", expiration="1000")
    scene.clock.pass_ms(100)
    scene.keep(b"a", b"2", **({"expiration": second} if second else {}))
    if gone_after_ms is None:
        scene.clock.pass_ms(100_000)
        assert scene.found(b"a") == {b"a": b"2"}
        return
    scene.clock.pass_ms(gone_after_ms - 100 - 1)
    assert scene.found(b"a") == {b"a": b"2"}
    scene.clock.pass_ms(1)
    assert len(scene.retained) == 0


def test_a_topic_set_again_and_again_takes_one_place_in_the_heap(scene):
    for _ in range(1000):
        scene.keep(b"a", b"1", expiration="60000")
        scene.clock.pass_ms(1)
    assert scene.clock.pending_count == 1
    for wait in range(1000, 0, -1):  # nearer and nearer: the worst case
        scene.keep(b"a", b"1", expiration=str(wait))
    assert scene.clock.pending_count < 200
    scene.clock.pass_ms(1)
    assert len(scene.retained) == 0


def test_a_new_subscriber_is_told_the_time_that_is_left_mqtt_3_3_2_6(scene):
    scene.keep(b"a", b"1", expiration="10000")
    scene.clock.pass_ms(4000)
    (retained,) = scene.retained.matches(b"a")

    first = retained.as_delivered(scene.clock.now_ms)
    scene.clock.pass_ms(1000)
    second = retained.as_delivered(scene.clock.now_ms)

    assert (first.expiration_ms, second.expiration_ms) == (6000, 5000)
    assert retained.message.expiration_ms == 10000
    assert first.is_retained
    assert second.body == b"1"


def test_what_is_delivered_is_flagged_and_made_once(scene):
    original = Message(b"amq.topic", b"a", b"\0\0", b"1")
    scene.retained.keep(original)
    (retained,) = scene.retained.matches(b"a")

    first, second = retained.as_delivered(0), retained.as_delivered(0)

    assert first.is_retained
    assert not original.is_retained  # it may be on its way to those who had subscribed before [MQTT-3.3.1-12]
    assert first == second


# ── limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_at_the_limit_of_topics_known_ones_may_still_change():
    scene = Scene(retained_messages_max=2)
    scene.keep(b"a", b"1")
    scene.keep(b"b", b"1")

    assert scene.keep(b"c", b"1") == REFUSED
    assert scene.keep(b"a", b"2") == STORED
    assert scene.keep(b"b", b"") == STORED
    assert scene.keep(b"c", b"1") == STORED
    assert scene.found(b"#") == {b"a": b"2", b"c": b"1"}
    assert scene.retained.counts["refused"] == 1


def test_at_the_limit_of_bytes_what_was_there_stays():
    scene = Scene(retained_bytes_max=1000)
    scene.keep(b"a", b"x" * 400)
    assert scene.keep(b"b", b"x" * 600) == REFUSED
    assert scene.keep(b"a", b"y" * 1000) == REFUSED
    assert scene.keep(b"a", b"z" * 800) == STORED  # the old one's bytes are free
    assert scene.found(b"#") == {b"a": b"z" * 800}


def test_a_payload_over_its_limit_is_refused():
    scene = Scene(retained_message_bytes_max=10)
    assert scene.keep(b"a", b"x" * 11) == REFUSED
    assert scene.keep(b"a", b"x" * 10) == STORED


# ── the operator ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_topics_can_be_removed_one_by_one_or_all(scene):
    for topic in (b"a", b"b", b"$SYS.x"):
        scene.keep(topic, b"1")
    assert scene.retained.remove(b"a")
    assert not scene.retained.remove(b"a")
    assert not scene.retained.remove(b"never")
    assert scene.retained.remove_all() == 2
    scene.restart()
    assert scene.values() == {}


def test_a_value_that_is_none_is_refused_at_start_up(scene):
    scene.store.put(Database.RETAINED, b"\x00\x01/\x00\x01a", b"\x02" + bytes(40))
    scene.store.sync()
    with pytest.raises(ValueError, match="no retained message"):
        scene.restart()


def test_where_a_batch_cannot_have_its_share_the_store_fails_and_nobody_is_told_yes(scene, monkeypatch):
    told = []
    scene.keep(b"a", b"1")
    scene.store.join(CallbackWaiter(lambda batch: told.append("yes"), lambda batch: told.append("no")))
    monkeypatch.setattr("broker.core.retained.layout", None)

    scene.store.seal()
    scene.store.collect()

    assert told == ["no"]
    assert scene.store.status == "failed"
    assert "is missing" in scene.store.status_text


def test_the_store_on_disk_keeps_them_as_well(scene, tmp_path):
    for kept, value in ((b"first", b"1"), (b"second", b"2"), (b"first", b"")):
        store = LmdbStore(tmp_path)
        store.restore(set())
        retained = RetainedMessages("/", store, scene.clock, scene.limits)
        retained.restore()
        retained.keep(Message(b"amq.topic", kept, b"\0\0", value))
        store.close()  # commits what is open, and asks for its share before
    store = LmdbStore(tmp_path)
    store.restore(set())
    retained = RetainedMessages("/", store, scene.clock, scene.limits)
    retained.restore()
    assert [each.message.body for each in retained.matches(b"#")] == [b"2"]
    store.abandon()
