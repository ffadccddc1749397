"""Groups of shared subscriptions: one queue each, as long as they have members; kept for members that stay away."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.errors import AccessRefused
from broker.core.stored import definitions
from storage.layout import Database
from storage.memory_store import MemoryStore
from tests.support.peer import Core


def join(core: Core, member: str, group: str = "g", key: bytes = b"a.*", **changes: Any):
    settings: dict[str, Any] = {"durable": False, "arguments": {}, "strategy": "round-robin", **changes}
    return core.vhost.shares.join(group, key, member, **settings)


def names(core: Core) -> list[str]:
    return sorted(core.vhost.queues)


def test_members_of_a_group_share_one_queue_bound_with_the_filter(core, peer):
    queue = join(core, "one")
    assert join(core, "two") is queue
    assert join(core, "one") is queue
    assert names(core) == ["$share/g/a.*"]
    peer.consume(queue.name)

    peer.publish("a.b", b"1", exchange="amq.topic")
    peer.publish("b", b"2", exchange="amq.topic")

    assert peer.bodies() == [b"1"]


def test_groups_and_filters_are_apart_mqtt_4_8_2(core, peer):
    for group, key in (("g", b"a"), ("h", b"a"), ("g", b"#")):
        peer.consume(join(core, "one", group, key).name, tag=f"{group} {key.decode()}")

    peer.publish("a", b"1", exchange="amq.topic")

    assert sorted(content.fields["consumer_tag"] for content in peer.deliveries()) == ["g #", "g a", "h a"]


def test_the_last_member_takes_the_queue_with_it(core):
    join(core, "one")
    join(core, "two")
    shares = core.vhost.shares

    assert shares.leave("g", b"a.*", "one")
    assert not shares.leave("g", b"a.*", "one")
    assert not shares.leave("g", b"other", "two")
    assert len(shares) == 1
    assert shares.leave("g", b"a.*", "two")

    assert names(core) == []
    assert len(shares) == 0


def test_persistent_messages_wait_for_a_durable_group_and_transient_ones_do_not(core, peer):
    queue = join(core, "one", durable=True)
    peer.publish("a.b", b"transient", exchange="amq.topic")
    peer.publish("a.b", b"persistent", exchange="amq.topic", delivery_mode=2)
    assert queue.counts["dropped_offline"] == 1

    core.commit()
    restarted = Core(MemoryStore(state=core.crash()))
    again = join(restarted, "one", durable=True)
    peer = restarted.connect()
    peer.consume(again.name)

    assert peer.bodies() == [b"persistent"]
    peer.publish("a.c", b"still bound", exchange="amq.topic")
    assert peer.bodies() == [b"still bound"]
    restarted.crash()


def test_a_group_becomes_durable_with_its_first_member_that_stays_away(core, peer):
    join(core, "one")
    queue = join(core, "two", durable=True)
    assert queue.durable
    join(core, "three")
    peer.publish("a.b", b"persistent", exchange="amq.topic", delivery_mode=2)
    core.commit()

    restarted = Core(MemoryStore(state=core.crash()))

    assert names(restarted) == ["$share/g/a.*"]
    assert join(restarted, "two", durable=True).ready_count == 1
    restarted.crash()


def test_a_group_of_clean_sessions_is_gone_after_a_restart(core):
    join(core, "one")
    core.commit()
    restarted = Core(MemoryStore(state=core.crash()))
    assert names(restarted) == []
    restarted.crash()


def test_groups_that_nobody_claims_after_a_restart_go_for_good(core):
    join(core, "one", durable=True)
    join(core, "one", "other", durable=True)
    core.vhost.declare_queue("ordinary", durable=True)
    core.commit()
    restarted = Core(MemoryStore(state=core.crash()))
    join(restarted, "one", durable=True)

    assert restarted.vhost.shares.drop_unclaimed() == 1
    assert names(restarted) == ["$share/g/a.*", "ordinary"]

    restarted.commit()
    assert len(list(definitions(restarted.store, "binding"))) == 1
    restarted.crash()


def test_settings_that_changed_are_in_force_also_for_what_was_restored(core, peer):
    join(core, "one", durable=True, arguments={"x-max-length": 10})
    core.commit()
    restarted = Core(MemoryStore(state=core.crash()))
    queue = join(restarted, "one", durable=True, arguments={"x-max-length": 1, "x-overflow": "drop-tail"})
    assert (queue.settings.max_length, queue.settings.overflow) == (1, "drop-tail")
    restarted.commit()

    again = Core(MemoryStore(state=restarted.crash()))

    assert again.vhost.queues["$share/g/a.*"].arguments == {"x-max-length": 1, "x-overflow": "drop-tail"}
    again.crash()


def test_a_queue_that_an_operator_deletes_is_made_again_for_who_joins(core):
    queue = join(core, "one")
    core.vhost.remove_queue(queue)
    again = join(core, "two")
    assert again is not queue
    assert not again.deleted
    assert core.vhost.shares.leave("g", b"a.*", "two")
    assert core.vhost.shares.leave("g", b"a.*", "one")  # it had joined before


def test_nobody_else_can_declare_such_a_queue(core):
    with pytest.raises(AccessRefused, match="shared subscription"):
        core.vhost.declare_queue("$share/g/a")


def test_what_a_group_leaves_in_the_store_goes_with_it(core):
    join(core, "one", durable=True)
    core.commit()
    before = dict(core.store.state[Database.DEFINITIONS])
    core.vhost.shares.leave("g", b"a.*", "one")
    core.commit()
    after = core.store.state[Database.DEFINITIONS]
    assert len(before) - len(after) == 2  # the queue and its binding
