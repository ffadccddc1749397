"""PUBLISH and its acknowledgements in both directions: QoS, DUP, identifiers, order, what v5 carries along."""

from __future__ import annotations

import contextlib

import pytest

from tests.conformance.mqtt.test_connect import kept
from tests.conformance.statements import clause
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter
from tests.support.mqtt_raw import Client, MqttRaw, PeerClosedError, unique


def pair(client: Client, version: int, qos: int = 2, **settings: object) -> tuple[MqttRaw, MqttRaw, str]:
    """(publisher, subscriber, topic)"""
    topic = unique()
    subscriber = client(version, **settings)
    subscriber.subscribe(topic, qos=qos)
    return client(version), subscriber, topic


@clause(
    "2.3.1-6 2.3.1-5 3.3.4-1 4.3.1-1 4.3.2-1 4.3.2-2 4.3.3-1 4.3.3-2 3.3.1-2 4.5.0-1",
    "2.2.1-5 2.2.1-2 2.2.1-4 3.3.4-1 4.3.1-1 4.3.2-1 4.3.2-2 4.3.2-4 4.3.3-1 4.3.3-2 4.3.3-4 4.3.3-8 4.3.3-11 3.3.1-2 "
    "3.4.2-1 3.5.2-1 3.6.2-1 3.7.2-1 4.5.0-1",
)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_each_qos(client: Client, version: int, qos: int) -> None:
    """`deliver` and `message` check kinds and identifiers of every step."""
    publisher, subscriber, topic = pair(client, version)
    answer = publisher.deliver(topic, b"m", qos=qos)
    message = subscriber.message()

    assert answer is None or answer.reason == 0
    assert (message.topic, message.payload, message.qos, message.dup) == (topic, b"m", qos, False)
    assert (message.packet_id is not None) == (qos > 0)


@clause("3.8.4-6", "3.8.4-8 4.8.2-3")
@pytest.mark.parametrize("published", [0, 1, 2])
@pytest.mark.parametrize("granted", [0, 1, 2])
def test_the_lesser_qos(client: Client, version: int, published: int, granted: int) -> None:
    publisher, subscriber, topic = pair(client, version, granted)
    publisher.deliver(topic, b"m", qos=published)

    assert subscriber.message().qos == min(published, granted)


@clause("4.3.2-2", "4.3.2-5")
def test_an_identifier_of_qos_1_is_free_after_puback(client: Client, version: int) -> None:
    """The second PUBLISH is new, whatever its DUP says."""
    publisher, subscriber, topic = pair(client, version)
    publisher.deliver(topic, b"1", qos=1, packet_id=7)
    publisher.deliver(topic, b"2", qos=1, packet_id=7, dup=True)

    assert [each.payload for each in subscriber.messages(2)] == [b"1", b"2"]


@clause("4.3.3-2 3.3.1-3", "4.3.3-10 3.3.1-3")
@pytest.mark.parametrize(
    "times", [1, pytest.param(2, marks=pytest.mark.mosquitto_deviates("2.0.11 ends the connection at the second DUP"))]
)
def test_qos_2_is_delivered_once(client: Client, version: int, times: int) -> None:
    publisher, subscriber, topic = pair(client, version)
    for dup in [False] + [True] * times:
        publisher.publish(topic, b"m", qos=2, packet_id=9, dup=dup)
        assert publisher.expect(codec.PUBREC).packet_id == 9
    publisher.send(codec.ack(codec.PUBREL, 9))
    assert publisher.expect(codec.PUBCOMP).packet_id == 9

    assert not subscriber.message().dup
    subscriber.nothing()


@clause("4.3.3-2", "4.3.3-12")
def test_an_identifier_of_qos_2_is_free_after_pubcomp(client: Client, version: int) -> None:
    publisher, subscriber, topic = pair(client, version)
    publisher.deliver(topic, b"1", qos=2, packet_id=9)
    publisher.deliver(topic, b"2", qos=2, packet_id=9)

    assert [each.payload for each in subscriber.messages(2)] == [b"1", b"2"]


@clause("4.3.3-2", "4.3.3-11 3.7.2-1")
def test_pubrel_of_an_unknown_identifier_gets_pubcomp(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.ack(codec.PUBREL, 77))
    answer = peer.expect(codec.PUBCOMP)

    assert answer.packet_id == 77
    assert answer.reason in ((0, 0x92) if version == V5 else (0,))


@clause("3.3.1-3", "3.3.1-3")
def test_dup_does_not_pass(client: Client, version: int) -> None:
    publisher, subscriber, topic = pair(client, version)
    publisher.deliver(topic, b"m", qos=1, dup=True)

    assert not subscriber.message().dup


@clause("2.3.1-4 4.3.2-1", "2.2.1-4 4.3.2-1 4.3.2-3 4.3.3-1 4.9.0-1")
@pytest.mark.parametrize("qos", [1, 2])
def test_identifiers_in_use_are_not_used(client: Client, version: int, qos: int) -> None:
    publisher, subscriber, topic = pair(client, version, qos)
    for number in range(10):
        publisher.deliver(topic, b"%d" % number, qos=qos)
    messages = [subscriber.message(acknowledge=False) for _ in range(10)]

    assert len({each.packet_id for each in messages}) == 10
    assert 0 not in {each.packet_id for each in messages}


@clause("4.6.0-5 4.6.0-6", "4.6.0-5 4.6.0-6")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_order(client: Client, version: int, qos: int) -> None:
    publisher, subscriber, topic = pair(client, version, qos)
    for number in range(50):
        publisher.publish(topic, b"%d" % number, qos=qos)
        if qos == 2:
            publisher.send(codec.ack(codec.PUBREL, publisher.next_id))

    assert [each.payload for each in subscriber.messages(50)] == [b"%d" % number for number in range(50)]


@clause("3.3.2-3 4.7.3-4", "3.3.2-3 4.7.3-4")
@pytest.mark.parametrize(
    ("text", "matching", "other"),
    [
        ("{}/+/c", ["a/b/c", "a//c", "a/B/c"], ["a/c", "a/b/c/d", "A/b/c", "a/b/c/"]),
        ("{}/#", ["a", "a/", "a/b", "a/b/c", "a//"], ["b", "A"]),
        ("{}/+", ["a/", "a/b"], ["a", "a/b/c"]),
        ("{}/b.c/*", ["a/b.c/*"], ["a/b/c/*", "a/b.c/x", "a/b.c"]),
        ("{}/é", ["a/é"], ["a/e", "a/e\u0301", "a/É"]),
        ("{}/ x", ["a/ x"], ["a/x", "a /x"]),
        ("+/{}", ["/a"], ["a", "//a"]),
        ("/{}", ["/a"], ["a"]),
    ],
)
def test_matching(client: Client, version: int, text: str, matching: list[str], other: list[str]) -> None:
    name = unique()
    peer = client(version)
    peer.subscribe(text.format(name), qos=1)
    topics = [each.replace("a", name, 1) for each in matching]
    for topic in [each.replace("a", name, 1) for each in other] + topics:
        peer.publish(topic, b"m", qos=1)
    for _ in topics + other:
        peer.expect(codec.PUBACK)

    assert [each.topic for each in peer.messages(len(topics))] == topics
    peer.nothing()


@clause("4.7.2-1", "4.7.2-1")
def test_wildcards_do_not_match_dollar(client: Client, version: int) -> None:
    peer = client(version)
    name = unique()
    peer.subscribe(f"+/{name}/#", f"+/{name}")
    peer.publish(f"$any/{name}", b"m")
    peer.publish(f"$any/{name}/x", b"m")
    peer.nothing()
    peer.subscribe(f"$any/{name}")
    peer.publish(f"$any/{name}", b"m")

    assert peer.message().payload == b"m"


@clause("3.3.5-1", "3.3.4-2")
def test_overlapping_subscriptions(client: Client, version: int) -> None:
    """Once or once for each, but at the highest QoS and at no higher."""
    topic = unique()
    peer = client(version)
    peer.subscribe(Filter(f"{topic}/#", 2), Filter(f"{topic}/+", 1), Filter(f"{topic}/x", 0))
    peer.deliver(f"{topic}/x", b"m", qos=2)

    peer.ping()
    assert 1 <= len(peer.waiting) <= 3
    assert max(each.qos for each in peer.waiting) == 2


@clause("", "3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-17 3.3.2-18 3.3.2-20")
def test_what_a_message_carries_along(client: Client, version: int) -> None:
    properties = {
        "payload_format": 1,
        "content_type": "text/plain; é",
        "response_topic": "a/b.c/*",
        "correlation_data": b"\0\xff\x01",
        "user": [("b", "2"), ("a", "1"), ("b", "3"), ("", ""), ("b", "2")],
    }
    publisher, subscriber, topic = pair(client, version)
    publisher.deliver(topic, "é".encode(), qos=1, properties=properties)
    message = subscriber.message()

    assert message.payload == "é".encode()
    assert message.properties == properties


@clause("", "3.3.2-6")
def test_expiry_is_handed_on(client: Client, version: int) -> None:
    publisher, subscriber, topic = pair(client, version)
    publisher.deliver(topic, b"m", qos=1, properties={"message_expiry": 100})

    assert subscriber.message().properties["message_expiry"] in (99, 100)


@clause("", "3.3.2-5 3.3.2-6")
def test_what_expired_is_not_delivered(client: Client, version: int) -> None:
    publisher, subscriber, topic = pair(client, version, 1, **kept(version))
    subscriber.disconnect()
    publisher.deliver(topic, b"expires", qos=1, properties={"message_expiry": 1})
    publisher.deliver(topic, b"stays", qos=1, properties={"message_expiry": 1000})
    watcher = client(version, keep_alive=0)
    watcher.socket.settimeout(2.2)
    with pytest.raises(TimeoutError):
        watcher.receive()
    again = client(version, subscriber.client_id, **kept(version))
    message = again.message()

    assert message.payload == b"stays"
    assert message.properties["message_expiry"] in (996, 997, 998)
    again.nothing()


@clause("", "3.3.2-12 3.3.2-7")
def test_topic_aliases_of_the_client(client: Client, version: int) -> None:
    topic = unique()
    watcher = client(version)
    watcher.subscribe(f"{topic}/#")
    peer = client(version, raw=True)
    maximum = peer.connect().properties["topic_alias_maximum"]
    for alias in (1, maximum):
        peer.publish(f"{topic}/{alias}", b"named", properties={"topic_alias": alias})
    for alias in (1, maximum):
        peer.publish("", b"aliased", properties={"topic_alias": alias})
    peer.publish(f"{topic}/other", b"renamed", properties={"topic_alias": 1})
    peer.publish("", b"aliased", properties={"topic_alias": 1})
    topics = [each.topic for each in watcher.messages(6)]
    assert topics == [f"{topic}/{each}" for each in (1, maximum, 1, maximum, "other", "other")]

    again = client(version, peer.client_id)
    again.publish("", b"m", properties={"topic_alias": 1})
    again.refused(0x82, 0x94)
    watcher.nothing()


@clause("", "3.1.2-26 3.1.2-27 3.3.2-11")
@pytest.mark.parametrize("maximum", [None, 0, 2])
def test_topic_aliases_of_the_server(client: Client, version: int, maximum: int | None) -> None:
    """Those within the maximum only, and each of them names its topic first."""
    topic = unique()
    peer = client(version, properties={} if maximum is None else {"topic_alias_maximum": maximum})
    peer.subscribe(f"{topic}/#")
    for number in (1, 2, 3, 1, 2, 3):
        peer.publish(f"{topic}/{number}", b"%d" % number)
    names: dict[int, str] = {}
    for message in peer.messages(6):
        alias = message.properties.get("topic_alias")
        if alias is None:
            assert message.topic
            continue
        assert 0 < alias <= (maximum or 0)
        names[alias] = message.topic or names[alias]
        assert names[alias] == f"{topic}/{message.payload.decode()}"


@clause("", "3.3.4-9 3.3.4-10 4.9.0-1 4.9.0-2 4.9.0-3")
@pytest.mark.parametrize("qos", [1, 2])
def test_receive_maximum(client: Client, version: int, qos: int) -> None:
    topic = unique()
    peer = client(version, properties={"receive_maximum": 2})
    peer.subscribe(topic, qos=qos)
    publisher = client(version)
    for number in range(5):
        publisher.deliver(topic, b"%d" % number, qos=qos)
    first = [peer.message(acknowledge=False) for _ in range(2)]
    peer.nothing()
    peer.subscribe(f"{topic}/other")
    publisher.deliver(topic, b"QoS 0")
    assert peer.expect(codec.PUBLISH).qos == 0

    for message in first:
        peer.acknowledge(message)
    assert [each.payload for each in peer.messages(3)] == [b"2", b"3", b"4"]


@clause("", "3.1.2-24 3.1.2-25")
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_maximum_packet_size(client: Client, version: int, qos: int) -> None:
    """What is too large never comes and holds nothing up."""
    topic = unique()
    peer = client(version, properties={"maximum_packet_size": 100})
    peer.subscribe(topic, qos=qos)
    publisher = client(version)
    for payload in (b"small", b"x" * 200, b"after"):
        publisher.deliver(topic, payload, qos=qos)

    assert [each.payload for each in peer.messages(2)] == [b"small", b"after"]
    peer.nothing()


@clause(
    "", "3.1.2-29 3.4.2-2 3.4.2-3 3.5.2-2 3.5.2-3 3.6.2-2 3.6.2-3 3.7.2-2 3.7.2-3 3.9.2-1 3.9.2-2 3.11.2-1 3.11.2-2"
)
def test_answers_are_short_where_that_is_asked(client: Client, version: int) -> None:
    """Neither reason strings nor user properties, and nothing above the maximum packet size."""
    topic = unique()
    peer = client(version, properties={"request_problem": 0, "maximum_packet_size": 64})
    packets = [peer.subscribe(topic, qos=2), peer.unsubscribe(topic, "never/there")]
    for qos in (1, 2):
        answer = peer.deliver("nobody/there", b"m", qos=qos)
        assert answer is not None
        packets.append(answer)
    peer.send(codec.ack(codec.PUBREC, 999))
    packets.append(peer.expect(codec.PUBREL))
    peer.send(codec.ack(codec.PUBREL, 999))
    packets.append(peer.expect(codec.PUBCOMP))
    for packet in packets:
        assert packet.size <= 64
        assert "reason_string" not in packet.properties
        assert "user" not in packet.properties


@clause("", "4.4.0-2 4.3.3-9")
@pytest.mark.parametrize("qos", [1, 2])
def test_a_negative_acknowledgement_acknowledges(client: Client, version: int, qos: int) -> None:
    publisher, subscriber, topic = pair(client, version, qos, **kept(version))
    publisher.deliver(topic, b"1", qos=qos)
    message = subscriber.message(acknowledge=False)
    assert message.packet_id is not None
    subscriber.send(codec.ack(codec.PUBACK if qos == 1 else codec.PUBREC, message.packet_id, 0x83))
    subscriber.nothing()
    subscriber.close()

    again = client(version, subscriber.client_id, **kept(version))
    again.nothing()


@clause("3.3.5-2", "3.4.2-1 3.5.2-1")
@pytest.mark.parametrize("qos", [1, 2])
def test_a_topic_that_nobody_may_write(client: Client, version: int, qos: int) -> None:
    """$SYS is the server's: acknowledged or the end, but never delivered."""
    watcher = client(version)
    watcher.subscribe("$SYS/made/up")
    peer = client(version)
    peer.publish("$SYS/made/up", b"m", qos=qos)
    with contextlib.suppress(PeerClosedError):
        answer = peer.receive()
        assert answer.kind in (codec.PUBACK, codec.PUBREC, codec.DISCONNECT)
        assert answer.reason in (0, 0x10, 0x83, 0x87, 0x90)
    watcher.nothing()
