"""Exchanges: what a message is routed to, through bindings, exchanges and alternates, each target once."""

from __future__ import annotations

import pytest

from broker.core.binding import EXCHANGE, QUEUE
from broker.core.message import Message


def message(exchange="e", routing_key="k", properties=b"\0\0"):
    return Message(exchange.encode(), routing_key.encode(), properties, b"")


def resolved(core, exchange, routing_key="k"):
    """The names of the queues that a message goes to."""
    route = core.vhost.exchanges[exchange].resolve([routing_key.encode()], message(exchange, routing_key))
    return sorted(queue.name for queue in route.targets)


@pytest.fixture
def wire(core):
    """wire("e:topic", "a.*>q", "b>f:fanout"): an exchange, its bindings to queues and to other exchanges."""

    def make(name, *bindings, **arguments):
        vhost = core.vhost
        source = declared(vhost, name, **arguments)
        for binding in bindings:
            key, _, destination = binding.partition(">")
            if ":" in destination:
                vhost.bind(source, declared(vhost, destination), EXCHANGE, key.encode())
            else:
                queue = vhost.queues.get(destination) or vhost.declare_queue(destination)
                vhost.bind(source, queue, QUEUE, key.encode())
        return source

    def declared(vhost, name, **arguments):
        name, _, type_name = name.partition(":")
        table = {each.replace("_", "-"): value for each, value in arguments.items()}
        return vhost.exchanges.get(name) or vhost.declare_exchange(name, type_name, arguments=table)

    return make


def test_the_default_exchange_routes_by_queue_name(core):
    core.vhost.declare_queue("q")
    assert resolved(core, "", "q") == ["q"]
    assert resolved(core, "", "other") == []


def test_direct_fanout_and_topic(core, wire):
    wire("d:direct", "k>q1", "k>q2", "other>q3")
    wire("f:fanout", "ignored>q1", ">q3")
    wire("t:topic", "a.*>q1", "#>q2", "a.b.c>q3")
    assert resolved(core, "d") == ["q1", "q2"]
    assert resolved(core, "f", "whatever") == ["q1", "q3"]
    assert resolved(core, "t", "a.x") == ["q1", "q2"]


def test_a_reply_by_way_of_the_topic_exchange_reaches_the_reply_queue_alone(core):
    topics = core.vhost.exchanges["amq.topic"]
    queue = core.vhost.create_queue(
        "amq.gen-unguessable", durable=False, exclusive=False, auto_delete=False, owner=None, arguments={}
    )
    core.vhost.bind(topics, core.vhost.declare_queue("curious"), QUEUE, b"#")

    assert resolved(core, "amq.topic", "$reply-to.amq.gen-unguessable") == ["amq.gen-unguessable"]
    core.vhost.delete_queue(queue)
    assert resolved(core, "amq.topic", "$reply-to.amq.gen-unguessable") == []
    assert resolved(core, "amq.topic", "$reply-to.curious") == []


def test_a_queue_that_is_bound_twice_gets_a_message_once(core, wire):
    wire("e:topic", "a.*>q", "*.b>q", "a.b>f:fanout")
    wire("f:fanout", ">q")
    assert resolved(core, "e", "a.b") == ["q"]


def test_a_cycle_of_exchanges_is_walked_once(core, wire):
    wire("a:fanout", ">b:fanout", ">q1")
    wire("b:fanout", ">c:fanout", ">q2")
    wire("c:fanout", ">a:fanout", ">q3", ">c:fanout")
    assert resolved(core, "a") == resolved(core, "b") == resolved(core, "c") == ["q1", "q2", "q3"]


def test_an_alternate_gets_only_what_nothing_else_matched(core, wire):
    wire("alternate:fanout", ">unrouted")
    wire("e:direct", "k>q", alternate_exchange="alternate")
    assert resolved(core, "e", "k") == ["q"]
    assert resolved(core, "e", "x") == ["unrouted"]


def test_alternates_that_name_each_other_come_to_an_end(core, wire):
    wire("a:direct", alternate_exchange="b")
    wire("b:direct", "found>q", alternate_exchange="a")
    assert resolved(core, "a", "x") == []
    assert resolved(core, "a", "found") == ["q"]


def test_an_alternate_is_asked_where_the_bound_exchange_matches_nothing(core, wire):
    """The alternate belongs to the exchange that found nothing: what a bound one does not route is its own matter."""
    wire("alternate:fanout", ">unrouted")
    wire("e:direct", "k>inner:direct", alternate_exchange="alternate")
    assert resolved(core, "e", "k") == []


def test_an_alternate_that_does_not_exist_takes_nothing(core, wire):
    wire("e:direct", alternate_exchange="nowhere")
    assert resolved(core, "e", "x") == []


# ── the route cache: what is remembered is forgotten when it is wrong ─────────────────────────────────────────────────


@pytest.fixture
def asked(core):
    """Count how often an exchange's own bindings are asked: a cached answer asks nobody."""
    from broker.core.exchange_types import TopicExchange

    class Counting(TopicExchange):
        asked = 0

        def find(self, routing_key, message):
            self.asked += 1
            return super().find(routing_key, message)

    exchange = Counting(
        core.vhost, "e", "topic", durable=False, auto_delete=False, internal=False, arguments={}, routes_cached_max=8
    )
    core.vhost.exchanges["e"] = exchange
    return exchange


def test_a_routing_key_is_resolved_once(core, peer, asked):
    peer.declare("q")
    peer.bind("e", "a.*")
    for _ in range(5):
        peer.publish("a.b", exchange="e")
    assert (asked.asked, core.queue().ready_count) == (1, 5)


def test_an_answer_of_nothing_is_remembered_too(peer, asked):
    for _ in range(5):
        peer.publish("a.b", exchange="e")
    assert asked.asked == 1
    assert (asked.published_in, asked.published_out, asked.unroutable) == (5, 0, 5)


@pytest.mark.parametrize(
    ("binding_key", "asked_again"),
    [
        ("a.*", 1), ("a.x", 1), ("a.y", 0), ("a", 0), ("b", 1), ("*.x", 2), ("*.y", 0), ("#", 3), ("*", 1), ("#.x", 2),
        ("x.#", 0), ("c.#.x", 1), ("*.*.*", 0),
    ],
)  # fmt: skip
def test_a_binding_forgets_what_it_matches_and_nothing_else(core, peer, asked, binding_key, asked_again):
    peer.declare("q")
    for key in ("a.x", "b", "c.x"):
        peer.publish(key, exchange="e")
    peer.bind("e", binding_key)
    for key in ("a.x", "b", "c.x"):
        peer.publish(key, exchange="e")
    assert asked.asked == 3 + asked_again
    assert core.queue().ready_count == asked_again


def test_many_changes_that_do_not_concern_a_key_leave_it_known(core, peer, asked):
    peer.declare("q")
    peer.publish("device.1.state", exchange="e")
    for index in range(200):
        peer.bind("e", f"device.{index}.command")
        peer.publish("device.1.state", exchange="e")
    assert asked.asked == 1


def test_a_key_that_has_missed_too_many_changes_is_resolved_again(core, peer, asked):
    peer.declare("q")
    peer.publish("device.1.state", exchange="e")
    peer.bind("e", "device.1.state")
    for index in range(200):
        peer.bind("e", f"device.{index}.command")
    peer.publish("device.1.state", exchange="e")
    assert asked.asked == 2
    assert core.queue().ready_count == 1


def test_unbinding_is_noticed_as_well(core, peer, asked):
    peer.declare("q")
    peer.bind("e", "a.*")
    peer.publish("a.x", exchange="e")
    peer.call("queue.unbind", queue="q", exchange="e", routing_key="a.*")
    peer.publish("a.x", exchange="e")
    assert core.queue().ready_count == 1


def test_a_full_cache_starts_afresh_and_stays_right(core, peer, asked):
    peer.declare("q")
    peer.bind("e", "even.#")
    for round_ in range(3):
        for index in range(20):
            peer.publish(f"{'odd' if index % 2 else 'even'}.{index}", b"", exchange="e")
        assert core.queue().ready_count == 10 * (round_ + 1)
    assert asked.asked == 60  # 20 keys never fit into 8 places


def test_a_change_behind_a_bound_exchange_is_noticed(core, peer):
    for name in ("front", "middle", "back"):
        peer.call("exchange.declare", exchange=name, type="topic")
    peer.call("exchange.bind", destination="middle", source="front", routing_key="#")
    peer.call("exchange.bind", destination="back", source="middle", routing_key="#")
    peer.declare("q")
    peer.publish("k", exchange="front")
    peer.bind("back", "k")
    peer.publish("k", exchange="front")
    assert core.queue().ready_count == 1
    peer.call("exchange.unbind", destination="back", source="middle", routing_key="#")
    peer.publish("k", exchange="front")
    assert core.queue().ready_count == 1


def test_a_change_behind_an_alternate_is_noticed(core, peer):
    peer.call("exchange.declare", exchange="e", type="direct", arguments={"alternate-exchange": "alternate"})
    peer.publish("k", exchange="e")
    peer.call("exchange.declare", exchange="alternate", type="fanout")
    peer.publish("k", exchange="e")
    peer.declare("q")
    peer.bind("alternate")
    peer.publish("k", exchange="e")
    assert core.queue().ready_count == 1
    peer.call("exchange.delete", exchange="alternate")
    peer.publish("k", exchange="e", mandatory=True)
    assert peer.take("basic.return")


def test_a_queue_that_comes_and_goes_behind_the_default_exchange_as_alternate_is_noticed(core, peer):
    peer.call("exchange.declare", exchange="e", type="direct", arguments={"alternate-exchange": ""})
    peer.publish("q", exchange="e")
    peer.declare("q")
    peer.publish("q", exchange="e")
    assert core.queue().ready_count == 1
    peer.call("queue.delete", queue="q")
    peer.publish("q", exchange="e", mandatory=True)
    assert peer.take("basic.return")


def test_a_queue_that_is_deleted_and_declared_again_is_found(core, peer):
    for _ in range(3):
        peer.declare("q")
        peer.publish("q", b"m")
        assert core.queue().ready_count == 1
        peer.call("queue.delete", queue="q")
        peer.publish("q", b"m")


def test_headers_exchanges_look_at_each_message(core, peer):
    peer.declare("q")
    peer.bind("amq.headers", kind="wanted")
    peer.publish("k", exchange="amq.headers", headers={"kind": "other"})
    peer.publish("k", exchange="amq.headers", headers={"kind": "wanted"})
    assert core.queue().ready_count == 1


def test_an_exchange_behind_which_headers_decide_is_not_cached_either(core, peer):
    peer.call("exchange.declare", exchange="front", type="fanout")
    peer.call("exchange.bind", destination="amq.headers", source="front")
    peer.declare("q")
    peer.bind("amq.headers", kind="wanted")
    peer.publish("k", exchange="front", headers={"kind": "other"})
    peer.publish("k", exchange="front", headers={"kind": "wanted"})
    assert core.queue().ready_count == 1


# ── sender-selected distribution ──────────────────────────────────────────────────────────────────────────────────────


def test_cc_and_bcc_are_further_routing_keys_and_bcc_is_not_delivered(core, peer):
    for name in ("to", "copy", "blind"):
        peer.declare(name)
    peer.publish("to", b"m", headers={"CC": ["copy"], "BCC": ["blind", "to"], "kept": 1})
    for name in ("to", "copy", "blind"):
        assert peer.got(name).properties["headers"] == {"CC": ["copy"], "kept": 1}
        assert core.queue(name).ready_count == 0


def test_a_message_with_copies_is_counted_as_any_other(core, peer):
    peer.call("exchange.declare", exchange="e", type="direct")
    peer.declare("q")
    peer.bind("e", "copy")
    peer.publish("k", exchange="e", headers={"CC": ["copy"]})
    peer.publish("k", exchange="e", headers={"CC": ["nowhere"]})
    exchange = core.vhost.exchange("e")
    assert (exchange.published_in, exchange.published_out, exchange.unroutable) == (2, 1, 1)


# ── delayed messages ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def delayed(core, peer):
    peer.call("exchange.declare", exchange="later", type="x-delayed-message", arguments={"x-delayed-type": "direct"})
    for name in ("q", "copy", "blind"):
        peer.declare(name)
        peer.bind("later", name, name)
    return peer


def test_a_delayed_message_is_routed_when_it_is_due_and_not_before(core, delayed):
    delayed.publish("q", b"m", exchange="later", headers={"x-delay": 1000})
    core.commit()
    core.pass_ms(999)
    assert core.queue().ready_count == 0
    core.pass_ms(1)
    assert delayed.drain() == [b"m"]
    exchange = core.vhost.exchange("later")
    assert (exchange.published_in, exchange.published_out, exchange.unroutable) == (1, 1, 0)


def test_copies_are_sent_when_the_message_is_due_and_blind_ones_stay_blind(core, delayed):
    delayed.publish("q", b"m", exchange="later", headers={"x-delay": 1000, "CC": ["copy"], "BCC": ["blind"]})
    core.commit()
    core.pass_ms(1000)
    for name in ("q", "copy", "blind"):
        assert delayed.got(name).properties["headers"] == {"x-delay": -1000, "CC": ["copy"]}


def test_copies_that_are_no_array_are_refused_when_they_are_published(core, delayed):
    delayed.publish("q", b"m", exchange="later", headers={"x-delay": 1000, "CC": "copy"})
    assert delayed.closed_with() == 406
