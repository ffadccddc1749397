"""How often a message came back outlives a restart, and nothing of it stays behind when the message goes."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.policy import Policy
from broker.core.queue import Queue
from storage import layout
from storage.layout import Database
from storage.memory_store import MemoryStore
from tests.support.peer import Core, Peer

LIMIT = Policy("limit", "^q$", {"delivery-limit": 5}, apply_to="queues", priority=0, operator=False)


def kept(core: Core) -> list[int]:
    """The counts that the store has after a commit."""
    core.commit()
    return [layout.delivery_count(value) for _, value in core.store.scan(Database.DELIVERIES, b"", None, 100)]


def count_of(content: Any) -> Any:
    return content.properties.get("headers", {}).get("x-delivery-count")


def give_back(peer: Peer, times: int = 1) -> None:
    for _ in range(times):
        peer.send("basic.nack", delivery_tag=peer.got().tag, requeue=True)


def publish(peer: Peer, *bodies: bytes, **settings: Any) -> None:
    for body in bodies:
        peer.publish("q", body, delivery_mode=2, **settings)


def restarted(make_core: Any, core: Core) -> Core:
    """As after kill -9: what was not committed is gone."""
    again: Core = make_core(MemoryStore(state=core.crash()))
    return again


def test_a_crash_does_not_set_the_delivery_limit_back(make_core, core, peer):
    peer.declare("q", durable=True, delivery_limit=3)
    publish(peer, b"poison", b"2")
    give_back(peer, 2)
    core.commit()
    again = restarted(make_core, core)
    peer = again.connect()
    content = peer.got()
    assert (content.body, content.redelivered, count_of(content)) == (b"poison", True, 2)
    peer.send("basic.nack", delivery_tag=content.tag, requeue=True)
    give_back(peer)
    assert again.queue().counts["dropped_delivery_limit"] == 1
    assert peer.drain() == [b"2"]
    assert kept(again) == []


def test_counting_goes_on_over_several_restarts(make_core, core, peer):
    peer.declare("q", durable=True, delivery_limit=10)
    publish(peer, b"m")
    for _ in range(3):
        give_back(core.connect(), 2)
        core.commit()
        core = restarted(make_core, core)
    assert kept(core) == [6]
    assert count_of(core.connect().got()) == 6


def test_an_orderly_stop_keeps_what_its_own_requeues_count(make_core, core, peer):
    peer.declare("q", durable=True, delivery_limit=10)
    publish(peer, b"m")
    peer.got()
    again = make_core(MemoryStore(state=core.stop()))
    assert count_of(again.connect().got()) == 1


def test_priorities_keep_their_counts(make_core, core, peer):
    peer.declare("q", durable=True, delivery_limit=10, max_priority=2)
    publish(peer, b"low")
    publish(peer, b"high", priority=2)
    give_back(peer)
    core.commit()
    again = restarted(make_core, core)
    peer = again.connect()
    assert [count_of(peer.got()) for _ in range(2)] == [1, None]


@pytest.mark.parametrize("end", ["ack", "reject", "purge", "delete", "expire", "no_ack"])
def test_a_message_that_goes_takes_its_count_with_it(core, peer, end):
    peer.declare("q", durable=True, delivery_limit=10, message_ttl=1000)
    publish(peer, b"1", b"2")
    give_back(peer)
    assert kept(core) == [1]
    if end == "ack":
        peer.send("basic.ack", delivery_tag=peer.got().tag)
    elif end == "reject":
        peer.send("basic.reject", delivery_tag=peer.got().tag)
    elif end == "purge":
        peer.call("queue.purge", queue="q")
    elif end == "delete":
        peer.call("queue.delete", queue="q")
    elif end == "expire":
        core.pass_ms(1000)
    else:
        peer.got(no_ack=True)
    assert kept(core) == []


@pytest.mark.parametrize("end", ["purge", "delete"])
def test_a_count_of_what_nobody_has_read_back_goes_with_a_purge(make_core, core, peer, end):
    peer.declare("q", durable=True, delivery_limit=10)
    publish(peer, b"1", b"2")
    give_back(peer)
    core.commit()
    again = restarted(make_core, core)
    again.connect().call(f"queue.{end}", queue="q")
    assert kept(again) == []


def test_a_purge_leaves_the_counts_of_what_is_unacked(make_core, core, peer):
    peer.declare("q", durable=True, delivery_limit=10)
    publish(peer, b"1", b"2")
    give_back(peer)
    peer.got()
    peer.call("queue.purge", queue="q")
    core.commit()
    again = restarted(make_core, core)
    content = again.connect().got()
    assert (content.body, count_of(content)) == (b"1", 1)


def test_what_cannot_outlive_a_restart_is_not_written(core, peer):
    peer.declare("q", durable=True, delivery_limit=10)
    peer.publish("q", b"transient")
    give_back(peer)
    peer.declare("unlimited", durable=True)
    peer.publish("unlimited", b"m", delivery_mode=2)
    peer.send("basic.nack", delivery_tag=peer.got("unlimited").tag, requeue=True)
    assert kept(core) == []


def test_many_requeues_of_one_turn_are_written_once(core, peer):
    peer.declare("q", durable=True, delivery_limit=1000)
    publish(peer, b"m")
    core.commit()
    before = core.store.open_batch
    give_back(peer, 100)
    assert kept(core) == [100]
    assert core.store.open_batch == before + 1


def test_a_limit_that_was_taken_away_forgets_the_counts_at_the_next_start(make_core, core, peer):
    core.vhost.policies.put(LIMIT)
    peer.declare("q", durable=True)
    publish(peer, b"m")
    give_back(peer)
    core.vhost.policies.remove("limit")
    assert kept(core) == [1]
    again = restarted(make_core, core)
    queue: Queue = again.queue()
    assert not queue.counts_deliveries
    assert kept(again) == []


def test_a_limit_that_a_policy_brings_counts_what_comes_back_from_then_on(make_core, core, peer):
    peer.declare("q", durable=True)
    publish(peer, b"m")
    give_back(peer)
    core.vhost.policies.put(LIMIT)
    give_back(peer)
    core.commit()
    again = restarted(make_core, core)
    assert count_of(again.connect().got()) == 2
