"""Declaring, deleting, binding: the specification's rules, and what outlives a restart."""

from __future__ import annotations

import pytest

from broker.core import errors
from broker.core.binding import EXCHANGE, QUEUE
from storage.memory_store import MemoryStore


@pytest.fixture
def vhost(core):
    return core.vhost


def test_every_vhost_has_the_predeclared_exchanges(vhost):
    types = {name: exchange.type for name, exchange in vhost.exchanges.items()}
    assert types == {
        "": "direct",
        "amq.direct": "direct",
        "amq.fanout": "fanout",
        "amq.topic": "topic",
        "amq.headers": "headers",
        "amq.match": "headers",
        "amq.rabbitmq.trace": "topic",
    }


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda vhost: vhost.exchange("x"), errors.NotFound),
        (lambda vhost: vhost.queue("x"), errors.NotFound),
        (lambda vhost: vhost.declare_exchange("amq.x", "direct"), errors.AccessRefused),
        (lambda vhost: vhost.declare_queue("amq.x"), errors.AccessRefused),
        (lambda vhost: vhost.declare_exchange("x", "magic"), errors.PreconditionFailed),
        (lambda vhost: vhost.delete_exchange(""), errors.AccessRefused),
        (lambda vhost: vhost.delete_exchange("amq.direct"), errors.AccessRefused),
        (lambda vhost: vhost.declare_exchange("amq.direct", "fanout", durable=True), errors.PreconditionFailed),
        (
            lambda vhost: vhost.bind(vhost.default_exchange, vhost.declare_queue("q"), QUEUE, b"k"),
            errors.AccessRefused,
        ),
        (
            lambda vhost: vhost.unbind(vhost.default_exchange, vhost.declare_queue("q"), QUEUE, b"q"),
            errors.AccessRefused,
        ),
    ],
)
def test_what_is_refused(vhost, call, error):
    with pytest.raises(error):
        call(vhost)


def test_declaring_the_same_again_finds_it_and_another_differs(vhost):
    queue = vhost.declare_queue("q", durable=True, arguments={"x-max-length": 5})
    assert vhost.declare_queue("q", durable=True, arguments={"x-max-length": 5}) is queue
    for different in ({"durable": False}, {"durable": True, "arguments": {"x-max-length": 6}}):
        with pytest.raises(errors.PreconditionFailed):
            vhost.declare_queue("q", **{"arguments": {"x-max-length": 5}, **different})
    exchange = vhost.declare_exchange("e", "topic")
    assert vhost.declare_exchange("e", "topic") is exchange
    with pytest.raises(errors.PreconditionFailed):
        vhost.declare_exchange("e", "fanout")


def test_another_owners_exclusive_queue_is_locked(vhost):
    owner, stranger = object(), object()
    queue = vhost.declare_queue("q", exclusive=True, owner=owner)
    assert vhost.queue("q", owner) is queue
    with pytest.raises(errors.ResourceLocked):
        vhost.queue("q", stranger)
    with pytest.raises(errors.ResourceLocked):
        vhost.declare_queue("q", exclusive=True, owner=stranger)


def test_if_unused_and_if_empty(core, peer, vhost):
    peer.declare("q")
    peer.publish("q", b"m")
    with pytest.raises(errors.PreconditionFailed, match="not empty"):
        vhost.delete_queue(vhost.queue("q"), if_empty=True)
    tag = peer.consume()
    with pytest.raises(errors.PreconditionFailed, match="in use"):
        vhost.delete_queue(vhost.queue("q"), if_unused=True)
    peer.call("basic.cancel", consumer_tag=tag)
    assert vhost.delete_queue(vhost.queue("q"), if_unused=True) == 0


def test_an_exchange_is_in_use_while_it_is_a_source(vhost):
    exchange = vhost.declare_exchange("e", "fanout")
    queue = vhost.declare_queue("q")
    vhost.bind(exchange, queue, QUEUE, b"")
    with pytest.raises(errors.PreconditionFailed, match="in use"):
        vhost.delete_exchange("e", if_unused=True)
    vhost.unbind(exchange, queue, QUEUE, b"")
    vhost.delete_exchange("e", if_unused=True)
    assert "e" not in vhost.exchanges


def test_limits_of_queues_and_exchanges(make_core):
    vhost = make_core(queues_max=1, exchanges_max=8).vhost
    vhost.declare_queue("q")
    vhost.declare_exchange("e", "direct")
    with pytest.raises(errors.LimitExceeded):
        vhost.declare_queue("r")
    with pytest.raises(errors.LimitExceeded):
        vhost.declare_exchange("f", "direct")


def test_the_limit_of_bindings_counts_those_that_are_there(make_core):
    vhost = make_core(bindings_max=2).vhost
    queue = vhost.declare_queue("q")
    exchange = vhost.declare_exchange("e", "topic")
    for key in (b"a", b"b"):
        vhost.bind(exchange, queue, QUEUE, key)
    vhost.bind(exchange, queue, QUEUE, b"b")  # it is there
    with pytest.raises(errors.LimitExceeded):
        vhost.bind(exchange, queue, QUEUE, b"c")
    vhost.unbind(exchange, queue, QUEUE, b"a")
    vhost.bind(exchange, queue, QUEUE, b"c")
    vhost.delete_exchange("e")
    assert vhost.binding_count == 0


# ── bindings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_binding_twice_is_one(vhost):
    exchange, queue = vhost.declare_exchange("e", "direct"), vhost.declare_queue("q")
    first = vhost.bind(exchange, queue, QUEUE, b"k", {"b": 1, "a": 2})
    assert vhost.bind(exchange, queue, QUEUE, b"k", {"a": 2, "b": 1}) is first
    assert vhost.bind(exchange, queue, QUEUE, b"k", {"a": 3}) is not first
    vhost.unbind(exchange, queue, QUEUE, b"k", {"a": 2, "b": 1})
    assert [binding.arguments for binding in vhost.bindings()] == [{"a": 3}]


def test_deleting_a_queue_takes_its_bindings_and_an_auto_delete_exchange_with_it(vhost):
    vhost.declare_exchange("e", "fanout", auto_delete=True)
    queue = vhost.declare_queue("q")
    vhost.bind(vhost.exchange("e"), queue, QUEUE, b"")
    vhost.remove_queue(queue)
    assert "e" not in vhost.exchanges
    assert list(vhost.bindings()) == []


def test_an_auto_delete_exchange_that_was_never_bound_stays(vhost):
    vhost.declare_exchange("e", "fanout", auto_delete=True)
    vhost.declare_queue("q")
    assert "e" in vhost.exchanges


def test_a_chain_of_auto_delete_exchanges_goes_as_a_whole(vhost):
    for index in range(2000):
        vhost.declare_exchange(f"e{index}", "fanout", auto_delete=True)
    for index in range(1999):
        vhost.bind(vhost.exchange(f"e{index}"), vhost.exchange(f"e{index + 1}"), EXCHANGE, b"")
    queue = vhost.declare_queue("q")
    vhost.bind(vhost.exchange("e1999"), queue, QUEUE, b"")
    vhost.remove_queue(queue)
    assert [name for name in vhost.exchanges if name.startswith("e")] == []


def test_deleting_an_exchange_takes_bindings_to_and_from_it(vhost):
    vhost.declare_exchange("a", "fanout")
    vhost.declare_exchange("b", "fanout")
    vhost.bind(vhost.exchange("a"), vhost.exchange("b"), EXCHANGE, b"")
    vhost.bind(vhost.exchange("b"), vhost.declare_queue("q"), QUEUE, b"")
    vhost.delete_exchange("b")
    assert list(vhost.bindings()) == []
    assert vhost.queue("q").bindings == set()


# ── what outlives a restart ───────────────────────────────────────────────────────────────────────────────────────────


def restarted(make_core, core):
    core.commit()
    return make_core(MemoryStore(state=core.crash()))


def test_durable_definitions_come_back_and_others_do_not(make_core, core, vhost):
    arguments = {"alternate-exchange": "other"}
    vhost.declare_exchange("durable", "topic", durable=True, internal=True, arguments=arguments)
    vhost.declare_exchange("transient", "topic")
    vhost.declare_queue("durable", durable=True, arguments={"x-max-length": 7, "x-max-priority": 3})
    vhost.declare_queue("transient")
    vhost.declare_queue("exclusive", durable=True, exclusive=True, owner=object())
    again = restarted(make_core, core).vhost
    assert set(again.queues) == {"durable"}
    assert again.queue("durable").arguments == {"x-max-length": 7, "x-max-priority": 3}
    exchange = again.exchange("durable")
    assert (exchange.type, exchange.internal, exchange.arguments) == ("topic", True, arguments)
    assert "transient" not in again.exchanges


def test_bindings_come_back_where_both_ends_are_durable(make_core, core, vhost):
    for durable in (True, False):
        vhost.declare_exchange(f"e{durable:d}", "topic", durable=durable)
        vhost.declare_queue(f"q{durable:d}", durable=durable)
    for source in ("e0", "e1"):
        for destination in ("q0", "q1"):
            vhost.bind(vhost.exchange(source), vhost.queue(destination), QUEUE, b"a.*", {"x": 1})
        vhost.bind(vhost.exchange(source), vhost.exchange("amq.fanout"), EXCHANGE, b"#")
    again = restarted(make_core, core).vhost
    kept = sorted(
        (each.source.name, each.destination.name, each.key, tuple(each.arguments.items())) for each in again.bindings()
    )
    assert kept == [("e1", "amq.fanout", b"#", ()), ("e1", "q1", b"a.*", (("x", 1),))]


def test_what_was_deleted_stays_deleted(make_core, core, vhost):
    exchange = vhost.declare_exchange("e", "fanout", durable=True)
    queue = vhost.declare_queue("q", durable=True)
    other = vhost.declare_queue("other", durable=True)
    vhost.bind(exchange, queue, QUEUE, b"")
    vhost.bind(exchange, other, QUEUE, b"")
    core.commit()
    vhost.unbind(exchange, other, QUEUE, b"")
    vhost.remove_queue(queue)
    again = restarted(make_core, core).vhost
    assert set(again.queues) == {"other"}
    assert list(again.bindings()) == []


def test_a_new_queue_never_gets_the_messages_of_a_deleted_one(make_core, core, peer):
    peer.declare("old", durable=True)
    peer.declare("keep", durable=True)
    for name in ("old", "keep"):
        peer.publish(name, name.encode(), delivery_mode=2)
    core.commit()
    held = peer.got("old")  # unacked when its queue goes, and never settled
    peer.call("queue.delete", queue="old")
    assert held.body == b"old"
    again = restarted(make_core, core)
    other = again.connect()
    other.declare("new", durable=True)
    once_more = restarted(make_core, again)
    assert once_more.connect().drain("new") == []
    assert once_more.connect().drain("keep") == [b"keep"]


def test_names_that_are_long_or_strange_come_back(make_core, core, vhost):
    names = ["q" * 255, "ünï/côdé\0", "a.b.c"]
    for name in names:
        vhost.declare_queue(name, durable=True)
        vhost.bind(vhost.exchange("amq.topic"), vhost.queue(name), QUEUE, b"\xff" * 255)
    again = restarted(make_core, core).vhost
    assert set(again.queues) == set(names)
    assert len(list(again.bindings())) == len(names)
