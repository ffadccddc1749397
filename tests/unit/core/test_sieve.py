"""What listeners do not want to hear of reaches no Python; and what they want is never held back."""

from __future__ import annotations

from typing import Any

import pytest

from broker.core.sieve import ContextSieve, Sieve, TraceSieve
from broker.core.traces import Filter
from broker.core.watch import MessageEvent, watch
from tests.support.mqtt_codec import V5
from tests.support.mqtt_codec import Filter as Subscription
from tests.support.mqtt_peer import MqttPeers
from tests.support.peer import Core, Peer

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
Heard = list[MessageEvent]


def listening(core: Core, sieve: Sieve) -> Heard:
    heard: Heard = []
    watch(core.vhost, heard.append, sieve)
    return heard


def traced(core: Core, **wanted: Any) -> Heard:
    return listening(core, Filter(**wanted).sieve(core.vhost))


def names(heard: Heard) -> list[str]:
    return [event.name for event in heard]


@pytest.fixture
def queues(core: Core, peer: Peer) -> Peer:
    for name in ("mine", "other"):
        peer.declare(name)
        peer.call("queue.bind", queue=name, exchange="amq.topic", routing_key=f"{name}.#")
        peer.consume(name, name)
    return peer


@pytest.mark.parametrize(
    "wanted", [{"exchange": "amq.topic"}, {"queue": "mine"}, {"binding_key": b"mine.*"}, {"user": "guest"}]
)
def test_what_a_filter_chooses_is_heard_of_and_nothing_else(core: Core, queues: Peer, wanted: dict[str, Any]) -> None:
    heard = traced(core, **wanted)
    queues.publish("mine.1", b"m", exchange="amq.topic")
    assert names(heard)[:1] == ["published"]
    assert "delivered" in names(heard)
    heard.clear()
    if "user" not in wanted:
        queues.publish("other", b"m")
        assert heard == []


@pytest.mark.parametrize("wanted", [{"user": "nobody"}, {"client": "nobody"}, {"exchange": "nowhere"}, {"queue": "no"}])
def test_a_trace_that_matches_nothing_hears_nothing(core: Core, queues: Peer, wanted: dict[str, Any]) -> None:
    heard = traced(core, **wanted)
    for _ in range(3):
        queues.publish("mine", b"m")
        queues.publish("other.1", b"m", exchange="amq.topic")
    queues.send("basic.ack", delivery_tag=0, multiple=True)
    assert heard == []


def test_who_gets_it_is_wanted_though_who_publishes_it_is_not(core: Core, peer: Peer) -> None:
    peer.declare("q")
    reader = core.connect()
    reader.consume("q", "c")
    assert reader.connection.peer == peer.connection.peer  # told apart by their users
    heard = traced(core, client=f"{reader.connection.peer} -> nowhere")
    peer.publish("q", b"m")
    assert heard == []


def test_a_subscriber_without_a_queue_is_heard_of(core: Core) -> None:
    mqtt = MqttPeers(core)
    reader, writer = mqtt.enter("reader"), mqtt.enter("writer")
    reader.subscribe(Subscription("a/#", 0))
    heard = traced(core, client="reader")
    writer.publish("a/b")
    assert [event.who.client_id for event in heard if event.name == "delivered"] == ["reader"]


def test_a_marked_message_is_heard_of_wherever_it_goes(core: Core, queues: Peer) -> None:
    queues.declare("dead")
    queues.declare("short", dead_letter_exchange="", dead_letter_routing_key="dead")
    heard = traced(core, queue="short")
    mark = core.vhost.watch.mark
    original, core.vhost.watch.listeners = core.vhost.watch.listeners, ()

    def follow(event: MessageEvent) -> None:
        heard.append(event)
        if event.message is not None:
            mark(event.message)

    core.vhost.watch.listeners = tuple((follow, sieve) for _, sieve in original)
    queues.publish("short", b"m")
    queues.consume("short", "c")
    queues.send("basic.reject", delivery_tag=1, requeue=False)
    assert [(event.name, event.queue) for event in heard if event.queue == "dead"] == [("enqueued", "dead")]


@pytest.mark.parametrize(
    ("context", "passes"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-03", True),
        (f"00-{TRACE}-{PARENT}-00", False),
        (f"00-{TRACE}-{PARENT}-0z", False),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        ("short", False),
        (7, False),
        (None, False),
    ],
)
def test_only_a_sampled_context_passes(core: Core, queues: Peer, context: Any, passes: bool) -> None:
    heard = listening(core, ContextSieve(1.0))
    headers = {"x-before": "a" * 40} | ({} if context is None else {"traceparent": context})
    queues.publish("mine", b"m", headers=headers)
    assert names(heard) == (["published", "delivered"] if passes else [])


@pytest.mark.parametrize(("share", "passes"), [(0.0, False), (0.51, False), (0.53, True), (1.0, True)])
def test_a_share_is_chosen_by_the_lower_half_of_the_trace_identifier(
    core: Core, queues: Peer, share: float, passes: bool
) -> None:
    """0x8448eb211c80319c is 0.5167… of 2**64: the same choice as OpenTelemetry's TraceIdRatioBased."""
    heard = listening(core, ContextSieve(share))
    queues.publish("mine", b"m", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    assert bool(heard) is passes


def test_a_context_over_mqtt_passes(core: Core) -> None:
    writer = MqttPeers(core).enter("writer", version=V5)
    heard = listening(core, ContextSieve(1.0))
    writer.publish("a/b", properties={"user": [("traceparent", f"00-{TRACE}-{PARENT}-01")]})
    writer.publish("a/b", properties={"user": [("traceparent", f"00-{TRACE}-{PARENT}-00")]})
    assert names(heard) == ["published"]


def test_sieves_of_several_listeners_are_or_ed(core: Core, queues: Peer) -> None:
    first = traced(core, queue="mine")
    second = listening(core, TraceSieve(exchange=b"amq.topic", queue=None, binding_key=None))
    queues.publish("mine", b"m")
    assert first
    assert first == second  # who listens looks again
