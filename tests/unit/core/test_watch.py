"""Watching messages: the firehose as RabbitMQ publishes it, and traces that follow messages through the queues."""

from __future__ import annotations

import logging

import pytest

from broker.core.browsing import take
from broker.core.errors import LimitExceeded, PreconditionFailed
from broker.core.firehose import TRACE_EXCHANGE, WAITING_MAX
from broker.core.traces import NOTES_MAX, TRACES_MAX, Filter
from broker.core.watch import MessageEvent, watch
from storage.memory_store import MemoryStore
from tests.support.mqtt_codec import V311, connect, publish, subscribe
from tests.support.mqtt_codec import Filter as Subscription
from tests.support.mqtt_in_process import MqttInProcess

NODE = "hubbub@here"


@pytest.fixture
def heard(core):
    events: list[MessageEvent] = []
    watch(core.vhost, events.append)
    return events


def words(events):
    return [(each.name, each.queue, each.reason) for each in events]


def consume_no_ack(peer, queue, tag="c"):
    peer.consume(queue, tag, no_ack=True)


# ── what is told ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_is_told_from_its_publication_to_its_acknowledgement(core, peer, heard):
    peer.declare("q")
    peer.publish("q", b"hello")
    peer.consume("q", "c")
    peer.send("basic.ack", delivery_tag=peer.deliveries()[0].tag)
    assert words(heard) == [
        ("published", "", ""),
        ("enqueued", "q", ""),
        ("delivered", "q", ""),
        ("acknowledged", "q", ""),
    ]
    published, _, out, _ = heard
    assert published.routed_to == ("q",)
    assert (published.who.user, published.who.channel) == ("guest", 1)
    assert published.who.connection.startswith("127.0.0.1:1 -> ")
    assert out.who == published.who
    assert out.redelivered is False


def test_the_shortest_way_through_an_empty_queue_is_told_too(peer, heard):
    peer.declare("q")
    consume_no_ack(peer, "q")
    peer.publish("q", b"hello")
    assert words(heard) == [("published", "", ""), ("enqueued", "q", ""), ("delivered", "q", "")]


def test_what_nobody_wants_is_routed_to_nothing(peer, heard):
    peer.publish("nowhere", b"", exchange="amq.direct")
    assert words(heard) == [("published", "", "")]
    assert heard[0].routed_to == ()
    assert heard[0].exchange == "amq.direct"


def test_what_comes_back_is_redelivered(peer, heard):
    peer.declare("q")
    peer.publish("q", b"")
    peer.consume("q", "c")
    peer.send("basic.nack", delivery_tag=peer.deliveries()[0].tag, requeue=True)
    assert words(heard)[2:] == [("delivered", "q", ""), ("requeued", "q", ""), ("delivered", "q", "")]
    assert heard[-1].redelivered


def test_a_dead_letter_is_told_with_its_way(core, peer, heard):
    peer.declare("q", dead_letter_exchange="", dead_letter_routing_key="dead", message_ttl=10)
    peer.declare("dead")
    peer.publish("q", b"")
    core.pass_ms(20)
    assert words(heard)[2:] == [("expired", "q", ""), ("dead-lettered", "q", "expired"), ("enqueued", "dead", "")]
    assert heard[3].routed_to == ("dead",)


def test_what_a_queue_does_not_keep_says_why(peer, heard):
    peer.declare("short", max_length=1)
    peer.declare("full", max_length=1, overflow="reject-publish")
    for queue in ("short", "short", "full", "full"):
        peer.publish(queue, b"")
    assert ("dropped", "short", "maxlen") in words(heard)
    assert words(heard)[-1] == ("refused", "full", "maxlen")


def test_a_rejected_message_and_a_fetched_one(peer, heard):
    peer.declare("q")
    peer.publish("q", b"")
    peer.send("basic.reject", delivery_tag=peer.got("q").tag, requeue=False)
    assert words(heard)[2:] == [("delivered", "q", ""), ("rejected", "q", "")]
    assert heard[2].who.channel == 1


def test_purging_is_told_once(peer, heard):
    peer.declare("q")
    peer.publish("q", b"")
    peer.call("queue.purge", queue="q")
    assert words(heard)[-1] == ("purged", "q", "1 messages")
    assert heard[-1].message is None


def test_carbon_copies_and_delays_are_told(core, peer, heard):
    peer.declare("q")
    peer.declare("copy")
    peer.call("exchange.declare", exchange="late", type="x-delayed-message", arguments={"x-delayed-type": "direct"})
    peer.bind("late", "q")
    peer.publish("q", b"", headers={"CC": ["copy"]})
    assert heard[0].routed_to == ("q", "copy")
    heard.clear()
    peer.publish("q", b"", exchange="late", headers={"x-delay": 100})
    assert words(heard) == [("delayed", "", "")]
    core.commit()
    core.pass_ms(200)
    assert words(heard)[1:] == [("published", "", ""), ("enqueued", "q", "")]


@pytest.fixture
def mqtt():
    return MqttInProcess()


def arrive(mqtt, client_id):
    client = mqtt.arrive(V311)
    client.hear(connect(V311, client_id))
    return client


def test_mqtt_subscribers_are_named_by_their_client_identifier(mqtt):
    heard: list[MessageEvent] = []
    watch(mqtt.broker.vhosts["/"], heard.append)
    arrive(mqtt, "reader").hear(subscribe(V311, 1, [Subscription("a/#", 0)]))
    arrive(mqtt, "writer").hear(publish(V311, "a/b", b"x"))
    assert words(heard) == [("published", "", ""), ("delivered", "", "")]
    assert heard[0].who.client_id == "writer"
    assert heard[0].routed_to == ("reader",)
    assert heard[1].who.client_id == "reader"


def test_when_nobody_listens_any_more_nothing_is_watched(core, peer):
    stop = watch(core.vhost, lambda event: None)
    peer.declare("q")
    assert core.vhost.watch is not None
    stop()
    assert core.vhost.watch is None
    assert core.vhost.exchanges[""].watch is None
    peer.publish("q", b"")
    assert core.queue().ready_count == 1


def test_a_listener_that_fails_does_not_disturb_the_message(core, peer, caplog):
    def fail(event):
        raise RuntimeError("no")

    watch(core.vhost, fail)
    peer.declare("q")
    with caplog.at_level(logging.ERROR):
        peer.publish("q", b"")
    assert core.queue().ready_count == 1
    assert "a listener failed" in caplog.text


# ── the firehose ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def firehose(core, peer):
    core.broker.trace_on(core.vhost, NODE)
    peer.declare("trace")
    peer.bind(TRACE_EXCHANGE, "#", "trace")
    return core.broker.firehoses["/"]


def traced(core, peer):
    core.pass_ms(1)
    consume_no_ack(peer, "trace", "t")
    peer.call("basic.cancel", consumer_tag="t")
    return [each for each in peer.deliveries() if each.fields["consumer_tag"] == "t"]


def test_the_firehose_repeats_what_is_published_and_delivered(core, peer, firehose):
    peer.declare("q")
    peer.call("exchange.declare", exchange="x", type="direct")
    peer.bind("x", "k", "q")
    peer.publish("k", b"hello", exchange="x", delivery_mode=2, content_type="text/plain", headers={"a": 1})
    consume_no_ack(peer, "q")
    published, delivered = traced(core, peer)
    assert published.fields["exchange"] == TRACE_EXCHANGE
    assert published.fields["routing_key"] == "publish.x"
    assert published.body == delivered.body == b"hello"
    headers = published.properties["headers"]
    assert headers["exchange_name"] == "x"
    assert headers["routing_keys"] == ["k"]
    assert headers["properties"]["content_type"] == "text/plain"
    assert headers["properties"]["headers"] == {"a": 1}
    assert headers["properties"]["delivery_mode"] == 2
    assert (headers["node"], headers["vhost"], headers["user"], headers["channel"]) == (NODE, "/", "guest", 1)
    assert headers["connection"].startswith("127.0.0.1:1 -> ")
    assert headers["routed_queues"] == ["q"]
    assert delivered.fields["routing_key"] == "deliver.q"
    assert delivered.properties["headers"]["redelivered"] == 0


def test_the_firehose_does_not_trace_itself(core, peer, firehose):
    peer.declare("q")
    peer.publish("q", b"")
    assert len(traced(core, peer)) == 1
    assert traced(core, peer) == []
    assert (firehose.published, firehose.dropped) == (1, 0)


def test_mqtt_publishes_appear_in_the_firehose(mqtt):
    vhost = mqtt.broker.vhosts["/"]
    mqtt.broker.trace_on(vhost, NODE)
    queue = vhost.declare_queue("trace")
    vhost.bind(vhost.exchanges[TRACE_EXCHANGE], queue, "queue", b"#")
    arrive(mqtt, "writer").hear(publish(V311, "a/b", b"x"))
    mqtt.clock.pass_ms(1)
    (taken,) = take(queue, 10, "ack_requeue_false", 1 << 20)
    assert taken.message.routing_key == b"publish.amq.topic"
    assert taken.message.properties["headers"]["routing_keys"] == ["a.b"]
    assert taken.message.body == b"x"


def test_the_firehose_drops_what_is_above_its_bound_and_counts_it(core, peer, firehose, monkeypatch):
    monkeypatch.setattr("broker.core.firehose.WAITING_MAX", 1)
    peer.declare("q")
    peer.publish("q", b"")
    peer.publish("q", b"")
    assert len(traced(core, peer)) == 1
    assert firehose.dropped == 1
    assert WAITING_MAX > 1


def test_switched_off_the_firehose_is_silent(core, peer, firehose):
    core.broker.trace_off(core.vhost)
    peer.declare("q")
    peer.publish("q", b"")
    assert traced(core, peer) == []
    assert core.broker.firehoses == {}


# ── traces ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def notes(trace):
    return [(note["event"], note["queue"]) for note in trace.notes]


def test_a_trace_follows_what_its_filter_chose_and_nothing_else(core, peer):
    trace = core.broker.traces.start(core.vhost, Filter(binding_key=b"a.*"))
    for name in ("q", "other"):
        peer.declare(name)
        peer.bind("amq.topic", "#" if name == "q" else "b.#", name)
    peer.publish("a.b", b"12345", exchange="amq.topic")
    peer.publish("b.c", b"", exchange="amq.topic")
    peer.consume("q", "c")
    peer.send("basic.ack", delivery_tag=peer.deliveries()[0].tag)
    assert notes(trace) == [("published", ""), ("enqueued", "q"), ("delivered", "q"), ("acknowledged", "q")]
    first = trace.notes[0]
    assert (first["exchange"], first["routing_key"], first["payload_bytes"]) == ("amq.topic", "a.b", 5)
    assert first["routed_to"] == ["q"]
    assert first["user"] == "guest"


def test_a_trace_follows_a_message_to_the_dead_letter_queue(core, peer):
    peer.declare("q", dead_letter_exchange="", dead_letter_routing_key="dead", message_ttl=10)
    peer.declare("dead")
    trace = core.broker.traces.start(core.vhost, Filter(queue="q"))
    peer.publish("q", b"")
    core.pass_ms(20)
    assert notes(trace) == [
        ("published", ""), ("enqueued", "q"), ("expired", "q"), ("dead-lettered", "q"), ("enqueued", "dead"),
    ]  # fmt: skip
    assert len({note["message"] for note in trace.notes}) == 1
    assert trace.notes[3]["to_exchange"] == ""


def test_a_trace_knows_a_message_again_that_was_on_disk(make_core):
    core = make_core(MemoryStore(segment_bytes_max=20_000), queue_memory_bytes_max=4096)
    peer = core.connect()
    peer.declare("q", durable=True)
    trace = core.broker.traces.start(core.vhost, Filter(binding_key=b"q"), messages_max=90)
    for _ in range(100):
        peer.publish("q", b"x" * 2000, delivery_mode=2)
        core.commit()
    assert core.queue().memory_bytes < 50 * 2000
    assert len(trace.watch.positions) == 90
    assert len(peer.drain("q")) == 100
    assert sum(note["event"] == "delivered" for note in trace.notes) == 90
    assert trace.watch.positions == {}


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (Filter(exchange="amq.direct"), 0),
        (Filter(exchange=""), 1),
        (Filter(user="guest"), 1),
        (Filter(user="other"), 0),
        (Filter(client="writer"), 0),
        (Filter(queue="q", user="guest"), 1),
        (Filter(), 1),
    ],
)
def test_every_part_of_a_filter_must_agree(core, peer, wanted, chosen):
    peer.declare("q")
    trace = core.broker.traces.start(core.vhost, wanted)
    peer.publish("q", b"")
    assert len(trace.followed) == chosen


def test_a_trace_ends_by_itself_and_keeps_its_notes(core, peer):
    peer.declare("q")
    trace = core.broker.traces.start(core.vhost, Filter(), seconds=5)
    peer.publish("q", b"")
    core.pass_ms(5000)
    peer.publish("q", b"")
    assert not trace.running
    assert len(trace.followed) == 1
    assert core.vhost.watch is None
    assert trace.notes_after(1, 10) == [trace.notes[1]]


def test_traces_are_bounded(core):
    traces = core.broker.traces
    first = traces.start(core.vhost, Filter(), seconds=1)
    for _ in range(TRACES_MAX - 1):
        traces.start(core.vhost, Filter())
    with pytest.raises(LimitExceeded):
        traces.start(core.vhost, Filter())
    core.pass_ms(1000)
    traces.start(core.vhost, Filter())
    assert first.number not in traces.by_number
    with pytest.raises(PreconditionFailed, match="seconds: expected 1 to"):
        traces.start(core.vhost, Filter(), seconds=0)
    assert traces.by_number[2].notes.maxlen == NOTES_MAX


def test_a_deleted_vhost_takes_its_firehose_and_ends_its_traces(core):
    vhost = core.broker.add_vhost("v")
    core.broker.trace_on(vhost, NODE)
    trace = core.broker.traces.start(vhost, Filter())
    core.broker.delete_vhost("v")
    assert core.broker.firehoses == {}
    assert not trace.running


def test_a_purge_concerns_the_traces_that_have_met_the_queue(core, peer):
    peer.declare("q")
    about, elsewhere = (core.broker.traces.start(core.vhost, Filter(queue=name)) for name in ("q", "other"))
    peer.publish("q", b"")
    peer.call("queue.purge", queue="q")
    assert notes(about)[-1] == ("purged", "q")
    assert notes(elsewhere) == []
