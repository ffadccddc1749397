"""Sessions that outlive their connections, wills, and what is sent again."""

from __future__ import annotations

import pytest

from tests.conformance.mqtt.test_connect import kept
from tests.conformance.statements import clause
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, Filter, Will
from tests.support.mqtt_raw import Client, MqttRaw, PeerClosedError, unique


def subscriber(client: Client, version: int, topic: str, qos: int = 2) -> MqttRaw:
    """Of a session that outlives its connection."""
    peer = client(version, **kept(version))
    peer.subscribe(topic, qos=qos)
    return peer


@clause("3.1.2-5 3.1.2-4 4.1.0-2 4.5.0-1", "3.1.2-5 3.1.2-23 4.1.0-1 4.5.0-1")
@pytest.mark.parametrize("farewell", ["disconnect", "close"])
def test_messages_gather_while_away(client: Client, version: int, farewell: str) -> None:
    topic = unique()
    peer = subscriber(client, version, topic)
    getattr(peer, farewell)()
    publisher = client(version)
    for qos in (1, 2):
        publisher.deliver(topic, b"%d" % qos, qos=qos)
    again = client(version, peer.client_id, **kept(version))

    assert [(each.payload, each.qos) for each in again.messages(2)] == [(b"1", 1), (b"2", 2)]
    publisher.deliver(topic, b"still subscribed", qos=1)
    assert again.message().payload == b"still subscribed"


@clause("3.2.0-1", "3.2.0-1")
@pytest.mark.parametrize("qos", [1, 2])
def test_nothing_comes_before_connack(client: Client, version: int, qos: int) -> None:
    """Though messages wait, and more are published at the same time."""
    topic = unique()
    peer, publisher = subscriber(client, version, topic, qos), client(version)
    name = peer.client_id
    for _ in range(10):
        peer.close()
        publisher.deliver(topic, b"waits", qos=qos)
        peer = client(version, raw=True)
        peer.send(codec.connect(version, name, **kept(version)))  # type: ignore[arg-type]
        publisher.publish(topic, b"comes", qos=0)

        assert peer.receive().kind == codec.CONNACK


@clause("3.1.2-6 3.1.4-3 4.1.0-2", "3.1.2-4 3.1.4-4 4.1.0-2")
def test_a_clean_session_forgets(client: Client, version: int) -> None:
    topic = unique()
    peer = subscriber(client, version, topic)
    peer.disconnect()
    publisher = client(version)
    publisher.deliver(topic, b"lost", qos=1)
    client(version, peer.client_id).nothing()
    publisher.deliver(topic, b"lost too", qos=1)

    client(version, peer.client_id, **kept(version)).nothing()


@clause("", "4.1.0-2")
@pytest.mark.parametrize("when", ["connect", "disconnect"])
def test_a_session_of_no_expiry_ends_with_its_connection(client: Client, version: int, when: str) -> None:
    """Because CONNECT asked for none, or DISCONNECT changed it to none."""
    peer = client(version, clean=False, properties={"session_expiry": 300} if when == "disconnect" else {})
    peer.disconnect(properties={"session_expiry": 0} if when == "disconnect" else {})

    assert not client(version, raw=True).connect(peer.client_id, clean=False).session_present


@clause("", "4.1.0-2 4.13.1-1")
def test_disconnect_cannot_prolong_a_session_of_no_expiry(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.disconnect(version, 0, {"session_expiry": 10}))

    peer.refused(0x82)


@clause("3.3.1-1 4.4.0-1 2.3.1-4", "3.3.1-1 4.4.0-1 4.3.2-3 4.3.3-3")
@pytest.mark.parametrize("qos", [1, 2])
def test_an_unacknowledged_publish_comes_again(client: Client, version: int, qos: int) -> None:
    topic = unique()
    peer = subscriber(client, version, topic, qos)
    publisher = client(version)
    for number in range(3):
        publisher.deliver(topic, b"%d" % number, qos=qos)
    before = [peer.message(acknowledge=False) for _ in range(3)]
    peer.nothing()
    peer.close()
    again = client(version, peer.client_id, **kept(version))
    after = [again.message(acknowledge=False) for _ in range(3)]

    assert [(each.packet_id, each.payload) for each in after] == [(each.packet_id, each.payload) for each in before]
    assert all(each.dup for each in after)


@clause("4.4.0-1 4.3.3-1", "4.4.0-1 4.3.3-4 4.3.3-5 4.3.3-6")
def test_an_unanswered_pubrel_comes_again(client: Client, version: int) -> None:
    topic = unique()
    peer = subscriber(client, version, topic)
    client(version).deliver(topic, b"m", qos=2)
    message = peer.message(acknowledge=False)
    assert message.packet_id is not None
    peer.send(codec.ack(codec.PUBREC, message.packet_id))
    assert peer.expect(codec.PUBREL).packet_id == message.packet_id
    peer.close()

    again = client(version, peer.client_id, **kept(version))
    assert again.expect(codec.PUBREL).packet_id == message.packet_id
    again.send(codec.ack(codec.PUBCOMP, message.packet_id))
    again.nothing()


@clause("4.3.3-2 4.1.0-1", "4.3.3-10 4.1.0-1")
def test_qos_2_from_the_client_survives_its_connection(client: Client, version: int) -> None:
    topic = unique()
    watcher = client(version)
    watcher.subscribe(topic, qos=1)
    peer = client(version, **kept(version))
    peer.publish(topic, b"m", qos=2, packet_id=5)
    peer.expect(codec.PUBREC)
    peer.close()

    again = client(version, peer.client_id, **kept(version))
    again.publish(topic, b"m", qos=2, packet_id=5, dup=True)
    assert again.expect(codec.PUBREC).packet_id == 5
    again.send(codec.ack(codec.PUBREL, 5))
    assert again.expect(codec.PUBCOMP).packet_id == 5
    watcher.message()
    watcher.nothing()


@clause("", "4.4.0-1")
def test_nothing_is_repeated_on_an_open_connection(client: Client, version: int) -> None:
    topic = unique()
    peer = subscriber(client, version, topic, 1)
    client(version).deliver(topic, b"m", qos=1)
    peer.message(acknowledge=False)

    peer.nothing()


@clause("3.10.4-3 3.10.4-2", "3.10.4-3 3.10.4-2")
def test_unsubscribe_completes_what_is_under_way(client: Client, version: int) -> None:
    topic = unique()
    peer = subscriber(client, version, topic)
    publisher = client(version)
    publisher.deliver(topic, b"under way", qos=2)
    message = peer.message(acknowledge=False)
    peer.unsubscribe(topic)
    publisher.deliver(topic, b"too late", qos=2)
    peer.acknowledge(message)

    peer.nothing()


@clause("", "4.3.3-7 4.3.3-13")
def test_what_was_sent_does_not_expire(client: Client, version: int) -> None:
    """The exchange of an expired message goes on to its end."""
    topic = unique()
    peer = subscriber(client, version, topic)
    client(version).deliver(topic, b"m", qos=2, properties={"message_expiry": 1})
    message = peer.message(acknowledge=False)
    peer.socket.settimeout(1.2)
    with pytest.raises(TimeoutError):
        peer.receive()
    peer.socket.settimeout(peer.timeout_s)
    peer.acknowledge(message)

    peer.nothing()


# ── wills ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@clause("3.1.2-8 3.1.2-10 3.1.2-16", "3.1.2-7 3.1.2-8 3.1.2-10 3.1.2-14 3.1.3-10")
@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("end", ["close", "reset"])
def test_a_will(client: Client, version: int, qos: int, end: str) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic, qos=2)
    properties = {"user": [("b", "2"), ("a", "1")], "content_type": "c"} if version == V5 else {}
    peer = client(version, will=Will(topic, b"gone", qos, properties=properties))
    getattr(peer, end)()
    message = watcher.message()

    assert (message.payload, message.qos, message.retain) == (b"gone", qos, False)
    assert message.properties == properties
    client(version, peer.client_id).disconnect()
    watcher.nothing()
    late = client(version)
    late.subscribe(topic)
    late.nothing()


@clause("3.1.2-17", "3.1.2-15")
def test_a_retained_will(client: Client, version: int) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic, qos=1)
    client(version, will=Will(topic, b"gone", 1, retain=True)).close()
    watcher.message()
    late = client(version)
    late.subscribe(topic, qos=1)
    message = late.message()

    assert (message.payload, message.retain) == (b"gone", True)
    late.deliver(topic, b"", qos=1, retain=True)


@clause("3.14.4-3 3.1.2-10 3.1.2-12", "3.14.4-3 3.1.2-10")
def test_disconnect_withdraws_the_will(client: Client, version: int) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    client(version, will=Will(topic, b"gone")).disconnect()
    client(version).close()

    watcher.nothing()


@clause("", "3.14.4-3 3.1.2-8")
def test_disconnect_with_will(client: Client, version: int) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    client(version, will=Will(topic, b"gone")).disconnect(0x04)

    assert watcher.message().payload == b"gone"


@clause("3.1.4-2 3.1.2-8", "3.1.4-3 3.1.2-8")
def test_take_over_publishes_the_will(client: Client, version: int) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    peer = client(version, will=Will(topic, b"taken over"))
    client(version, peer.client_id)

    assert watcher.message().payload == b"taken over"


@clause("", "3.1.3-9")
def test_coming_back_withdraws_a_delayed_will(client: Client, version: int) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    peer = client(version, will=Will(topic, b"gone", properties={"will_delay": 1}), **kept(version))
    peer.reset()
    client(version, peer.client_id, **kept(version)).ping()
    watcher.socket.settimeout(1.3)
    with pytest.raises(TimeoutError):
        watcher.receive()


@clause("", "3.1.2-8")
@pytest.mark.parametrize("first", ["delay", "session"])
def test_a_delayed_will(client: Client, version: int, first: str) -> None:
    """After its delay or with the end of its session, whichever is first."""
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    delay, expiry = (1, 300) if first == "delay" else (300, 1)
    will = Will(topic, b"gone", properties={"will_delay": delay})
    client(version, will=will, properties={"session_expiry": expiry}).close()
    watcher.nothing()

    assert watcher.message().payload == b"gone"


@clause("", "3.1.2-8 4.1.0-2")
@pytest.mark.mosquitto_deviates("2.0.11 forgets the will")
def test_a_clean_start_ends_the_session_and_its_delayed_will_is_published(client: Client, version: int) -> None:
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    peer = client(version, will=Will(topic, b"gone", properties={"will_delay": 300}), **kept(version))
    peer.close()
    watcher.nothing()
    client(version, peer.client_id, clean=True)

    assert watcher.message().payload == b"gone"


# ── shared subscriptions ──────────────────────────────────────────────────────────────────────────────────────────────


@clause("", "4.8.2-1 4.8.2-2")
@pytest.mark.parametrize("text", ["$share/g+/t", "$share/#/t", *[
    pytest.param(each, marks=pytest.mark.mosquitto_deviates("2.0.11 grants it"))
    for each in ("$share/", "$share//t", "$share/g", "$share/g/")
]])  # fmt: skip
def test_shared_filters_that_make_no_sense(client: Client, version: int, text: str) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter(text)]))
    packets = []
    try:
        packets.append(peer.receive())
    except PeerClosedError:
        return
    assert packets[0].reason in (0x81, 0x82, 0x8F), packets


@clause("", "3.8.3-4")
@pytest.mark.mosquitto_deviates("2.0.11 grants it")
def test_no_local_and_shared(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.subscribe(version, 1, [Filter("$share/g/t", no_local=True)]))

    peer.refused(0x82)


@clause("", "4.8.2-3")
def test_each_message_goes_to_one_of_a_group(client: Client, version: int) -> None:
    topic, group = unique(), unique("group")
    members = [client(version), client(version)]
    for granted, member in enumerate(members):
        member.subscribe(f"$share/{group}/{topic}", qos=granted)
    alone = client(version)
    alone.subscribe(topic, qos=2)
    publisher = client(version)
    for number in range(10):
        publisher.deliver(topic, b"%d" % number, qos=2)
    alone.messages(10)
    alone.nothing()
    for member in members:
        member.ping()
    shared = [[(each.payload, each.qos) for each in member.waiting] for member in members]

    assert sorted(payload for each in shared for payload, _ in each) == [b"%d" % number for number in range(10)]
    assert all(qos == granted for granted, each in enumerate(shared) for _, qos in each)


@clause("", "4.8.2-4 4.8.2-5")
@pytest.mark.parametrize("returns", [True, False])
def test_a_shared_qos_2_delivery_under_way(client: Client, version: int, returns: bool) -> None:
    """PUBREC was sent: that client completes it, or nobody does."""
    topic, group = unique(), unique("group")
    peer = client(version, **kept(version))
    peer.subscribe(f"$share/{group}/{topic}", qos=2)
    client(version).deliver(topic, b"m", qos=2)
    message = peer.message(acknowledge=False)
    assert message.packet_id is not None
    other = client(version)
    other.subscribe(f"$share/{group}/{topic}", qos=2)
    peer.send(codec.ack(codec.PUBREC, message.packet_id))
    peer.expect(codec.PUBREL)
    peer.close()
    again = client(version, peer.client_id, **{**kept(version), "clean": not returns})
    if returns:
        assert again.expect(codec.PUBREL).packet_id == message.packet_id
        again.send(codec.ack(codec.PUBCOMP, message.packet_id))
    again.nothing()
    other.nothing()


@clause("", "4.8.2-6")
@pytest.mark.parametrize("qos", [1, 2])
def test_what_one_of_a_group_refuses_goes_to_no_other(client: Client, version: int, qos: int) -> None:
    topic, group = unique(), unique("group")
    peer, other, publisher = client(version), client(version), client(version)
    peer.subscribe(f"$share/{group}/{topic}", qos=qos)
    publisher.deliver(topic, b"refused", qos=qos)
    message = peer.message(acknowledge=False)
    assert message.packet_id is not None
    other.subscribe(f"$share/{group}/{topic}", qos=qos)
    peer.send(codec.ack(codec.PUBACK if qos == 1 else codec.PUBREC, message.packet_id, 0x83))
    peer.nothing()
    peer.close()

    other.nothing()
