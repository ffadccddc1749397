"""SUBSCRIBE, UNSUBSCRIBE, their answers and options; retained messages."""

from __future__ import annotations

import pytest

from tests.conformance.statements import clause
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter
from tests.support.mqtt_raw import Client, unique


@clause(
    "2.3.1-7 3.8.4-1 3.8.4-2 3.8.4-4 3.8.4-5 3.9.3-1 3.9.3-2",
    "2.2.1-6 3.8.4-1 3.8.4-2 3.8.4-5 3.8.4-6 3.8.4-7 3.9.3-1 3.9.3-2",
)
def test_suback(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    answer = peer.subscribe(Filter(f"{topic}/2", 2), Filter(f"{topic}/0", 0), Filter(f"{topic}/1", 1))
    assert answer.reasons == (2, 0, 1)

    for number in range(3):
        peer.deliver(f"{topic}/{number}", b"m", qos=2)
    assert [each.qos for each in peer.messages(3)] == [0, 1, 2]


@clause(
    "2.3.1-7 3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-5 3.10.4-6",
    "2.2.1-6 3.10.4-1 3.10.4-2 3.10.4-4 3.10.4-5 3.10.4-6 3.11.3-1 3.11.3-2",
)
def test_unsuback(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    peer.subscribe(f"{topic}/a", f"{topic}/+/b", f"{topic}/c")
    answer = peer.unsubscribe(f"{topic}/a", f"{topic}/x/b", f"{topic}/A", f"{topic}/+/b", f"{topic}/#")
    assert answer.reasons == ((0, 0x11, 0x11, 0, 0x11) if version == V5 else ())

    for name in ("a", "x/b", "c"):
        peer.publish(f"{topic}/{name}", b"m")
    assert peer.message().topic == f"{topic}/c"
    peer.nothing()


@clause("3.8.4-3", "3.8.4-3 3.8.4-4")
def test_the_same_filter_again_replaces(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    peer.deliver(topic, b"kept", qos=1, retain=True)
    for qos in (2, 0):
        assert peer.subscribe(topic, qos=qos).reasons == (qos,)
        assert (message := peer.message()).retain
        assert (message.payload, message.qos) == (b"kept", min(qos, 1))
    peer.deliver(topic, b"m", qos=2)
    assert peer.message().qos == 0
    peer.nothing()
    peer.deliver(topic, b"", qos=1, retain=True)


# ── options of MQTT 5 ─────────────────────────────────────────────────────────────────────────────────────────────────


@clause("", "3.8.3-3")
def test_no_local(client: Client, version: int) -> None:
    topic = unique()
    peer, other = client(version), client(version)
    peer.subscribe(Filter(topic, 1, no_local=True))
    peer.deliver(topic, b"own", qos=1)
    other.deliver(topic, b"other's", qos=1)

    assert peer.message().payload == b"other's"
    peer.nothing()


@clause("", "3.3.1-12 3.3.1-13")
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("retain", [False, True])
def test_retain_as_published(client: Client, version: int, kept: bool, retain: bool) -> None:
    topic = unique()
    peer = client(version)
    peer.subscribe(Filter(topic, 1, retain_as_published=kept))
    peer.deliver(topic, b"m", qos=1, retain=retain)
    assert peer.message().retain == (kept and retain)
    peer.deliver(topic, b"", qos=1, retain=True)


@clause("", "3.3.1-9 3.3.1-10 3.3.1-11")
@pytest.mark.parametrize(("handling", "first", "second"), [(0, 1, 1), (1, 1, 0), (2, 0, 0)])
def test_retain_handling(client: Client, version: int, handling: int, first: int, second: int) -> None:
    topic = unique()
    peer = client(version)
    peer.deliver(topic, b"kept", qos=1, retain=True)
    for count in (first, second):
        peer.subscribe(Filter(topic, 0, retain_handling=handling))
        assert [each.retain for each in peer.messages(count)] == [True] * count
        peer.nothing()
    peer.deliver(topic, b"", qos=1, retain=True)


@clause("", "3.3.4-3 3.3.4-4")
def test_subscription_identifiers(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    for text, number in ((f"{topic}/#", 1), (f"{topic}/+", 268_435_455), (f"{topic}/x", None)):
        peer.subscribe(text, properties={"subscription_identifier": [number]} if number else None)
    peer.publish(f"{topic}/x", b"m")
    peer.ping()
    found = [each.properties.get("subscription_identifier", []) for each in peer.waiting]

    assert sorted(number for each in found for number in each) == [1, 268_435_455]
    assert len(found) == 1 or all(len(each) <= 1 for each in found)


@clause("", "3.3.4-3 3.8.4-3")
def test_replacing_a_subscription_replaces_its_identifier(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    for number in (5, 6, None):
        peer.subscribe(topic, properties={"subscription_identifier": [number]} if number else None)
        peer.publish(topic, b"m")
        assert peer.message().properties.get("subscription_identifier", []) == ([number] if number else [])


# ── retained messages ─────────────────────────────────────────────────────────────────────────────────────────────────


@clause("3.3.1-5 3.3.1-6 3.3.1-8 3.3.1-9 3.1.2-7", "3.3.1-5 3.3.1-12 3.3.1-9")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_message(client: Client, version: int, qos: int) -> None:
    """Outlives its publisher, comes with RETAIN and its QoS to new subscribers, without RETAIN to those before."""
    topic = unique()
    early = client(version)
    early.subscribe(topic, qos=2)
    publisher = client(version)
    publisher.deliver(topic, b"kept", qos=qos, retain=True)
    publisher.ping()
    publisher.disconnect()
    assert not early.message().retain
    late = client(version)
    for text in (topic, f"{topic}/#"):
        late.subscribe(text, qos=2)
        message = late.message()
        assert (message.topic, message.payload, message.qos, message.retain) == (topic, b"kept", qos, True)
    late.deliver(topic, b"", qos=1, retain=True)


@clause("3.3.1-7", "3.3.1-5")
@pytest.mark.parametrize("qos", [0, 1])
def test_a_retained_message_replaces_the_one_before(client: Client, version: int, qos: int) -> None:
    topic = unique()
    peer = client(version)
    peer.deliver(topic, b"old", qos=2, retain=True)
    peer.deliver(topic, b"new", qos=qos, retain=True)
    peer.subscribe(topic, qos=2)
    message = peer.message()

    assert (message.payload, message.qos) == (b"new", qos)
    peer.nothing()
    peer.deliver(topic, b"", qos=1, retain=True)


@clause("3.3.1-10 3.3.1-11", "3.3.1-6 3.3.1-7")
def test_an_empty_retained_message(client: Client, version: int) -> None:
    topic = unique()
    peer, early = client(version), client(version)
    peer.deliver(topic, b"kept", qos=1, retain=True)
    early.subscribe(topic)
    early.message()
    peer.deliver(topic, b"", qos=1, retain=True)
    message = early.message()
    assert (message.payload, message.retain) == (b"", False)
    peer.subscribe(topic)

    peer.nothing()


@clause("3.3.1-12", "3.3.1-8")
@pytest.mark.parametrize("payload", [b"", b"m"])
def test_a_message_without_retain_leaves_the_retained_one_alone(client: Client, version: int, payload: bytes) -> None:
    topic = unique()
    peer = client(version)
    peer.deliver(f"{topic}/never", payload, qos=1)
    peer.deliver(topic, b"kept", qos=1, retain=True)
    peer.deliver(topic, payload, qos=1)
    peer.subscribe(f"{topic}/#")

    assert peer.message().payload == b"kept"
    peer.nothing()
    peer.deliver(topic, b"", qos=1, retain=True)


@clause("3.3.1-6 4.7.2-1", "3.3.1-9 4.7.2-1")
def test_wildcards_find_retained_messages(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    topics = [f"{topic}/{name}" for name in ("a/x", "b/x", "b/y", "c")] + [f"$other/{topic}"]
    for each in topics:
        peer.deliver(each, b"kept", qos=1, retain=True)
    for text, count in ((f"{topic}/+/x", 2), (f"{topic}/#", 4), (f"+/{topic}", 0), (f"{topic}/+", 1)):
        peer.subscribe(text)
        peer.messages(count)
        peer.nothing()
    for each in topics:
        peer.unsubscribe(f"{topic}/#")
        peer.publish(each, b"", retain=True)
    peer.ping()


@clause("", "3.3.2-6 3.3.2-17")
def test_a_retained_message_keeps_its_properties(client: Client, version: int) -> None:
    topic = unique()
    peer = client(version)
    properties = {"content_type": "c", "user": [("b", "1"), ("a", "2")], "message_expiry": 1000}
    peer.deliver(topic, b"kept", qos=1, retain=True, properties=properties)
    peer.subscribe(topic)
    found = peer.message().properties

    assert 997 <= found.pop("message_expiry") <= 1000
    assert found == {key: properties[key] for key in ("content_type", "user")}
    peer.deliver(topic, b"", qos=1, retain=True)


@clause("", "3.14.2-2 3.14.2-3 3.14.2-4 3.14.2-1")
def test_disconnect_of_the_server(client: Client, version: int) -> None:
    peer = client(version, properties={"maximum_packet_size": 40})
    peer.send(codec.publish(version, "t", b"m", qos=3, packet_id=1))
    packets = peer.until_closed()

    assert [each.kind for each in packets] == [codec.DISCONNECT]
    assert packets[0].reason in (0x81, 0x82)
    assert packets[0].size <= 40
    assert "session_expiry" not in packets[0].properties
