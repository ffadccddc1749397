"""CONNECT and CONNACK: what is accepted, what is refused and how, session present, take-over."""

from __future__ import annotations

import pytest

from tests.conformance.statements import clause
from tests.support import mqtt_codec as codec
from tests.support.mqtt_codec import V5, V31, V311, Will
from tests.support.mqtt_raw import Client, unique

PERSISTENT = {"session_expiry": 300}
OLD_REFUSAL, NEW_REFUSAL = b"\x20\x02\x00\x01", b"\x20\x00\x84"
"""What a CONNECT of an unknown level may be answered, in the words of 3.1.1 and of 5 (there without the length)."""


def kept(version: int) -> dict[str, object]:
    """CONNECT's settings of a session that outlives its connection."""
    return {"clean": False, "properties": PERSISTENT if version == V5 else None}


@clause("3.1.0-1 4.8.0-1", "3.1.0-1 3.14.0-1")
@pytest.mark.parametrize("packet", ["ping", "publish", "subscribe", "disconnect"])
def test_the_first_packet_is_connect(client: Client, version: int, packet: str) -> None:
    peer = client(version, raw=True)
    peer.send(
        {
            "ping": codec.PING,
            "publish": codec.publish(version, "t"),
            "subscribe": codec.subscribe(version, 1, [codec.Filter("t")]),
            "disconnect": codec.disconnect(version),
        }[packet]
    )

    assert peer.until_closed() == []


@clause("3.1.0-2 4.8.0-1", "3.1.0-2 3.2.0-2 4.13.1-1")
def test_a_second_connect_is_the_end(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.connect(version, peer.client_id))

    assert not [each for each in peer.until_closed() if each.kind == codec.CONNACK]


@clause("3.1.2-1", "3.1.2-1")
@pytest.mark.parametrize("name", ["", "mqtt", "MQTTX", "HTTP"])
def test_a_wrong_protocol_name_is_the_end(client: Client, version: int, name: str) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", name=name))

    answer = peer.refused(0x84, 0x81, 0x82)
    assert answer is None or answer.reason != 0


@clause("3.1.2-2 3.2.2-5", "3.1.2-2 3.2.2-7")
@pytest.mark.parametrize("level", [0, 6, 127])
def test_an_unknown_level_is_refused(client: Client, version: int, level: int) -> None:
    peer = client(V311, raw=True)
    peer.send(codec.connect(version, "x", level=level))

    answer = peer.rest()
    assert answer == OLD_REFUSAL or answer[:1] + answer[2:4] == NEW_REFUSAL or (version == V5 and not answer)


@clause("3.1.2-3 3.1.4-1", "3.1.2-3 3.1.4-1")
def test_the_reserved_connect_flag_is_zero(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", flags=0b11))

    assert peer.refused(0x81, 0x82) is None or version == V5


@clause("3.1.2-11 3.1.2-13 3.1.2-15 3.1.2-14 3.1.4-1", "3.1.2-11 3.1.2-13 3.1.2-12 3.1.4-1")
@pytest.mark.parametrize("flags", [0b0000_1010, 0b0001_0010, 0b0010_0010, 0b0001_1110])
def test_will_bits_that_make_no_sense(client: Client, version: int, flags: int) -> None:
    """QoS 1 or 2 without a will; retain without a will; a will of QoS 3."""
    peer = client(version, raw=True)
    will = Will("w", b"m") if flags & 4 else None
    peer.send(codec.connect(version, "x", will=will, flags=flags))

    assert peer.refused(0x81, 0x82, 0x9B) is None or version == V5


@clause("3.1.2-9 3.1.3-1", "3.1.2-9 3.1.3-1")
def test_a_will_flag_asks_for_topic_and_message(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", flags=0b110))

    peer.refused(0x81, 0x82)


@clause("3.1.2-11 3.1.2-18 3.1.2-20", "3.1.2-16 3.1.2-18 3.1.4-1")
@pytest.mark.parametrize("settings", [{"will": Will("w", b"m")}, {"user": "u"}, {"user": "u", "password": "p"}])
@pytest.mark.mosquitto_deviates("2.0.11 ignores bytes after the last field of CONNECT")
def test_fields_without_their_flags(client: Client, version: int, settings: dict[str, object]) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", flags=2, **settings))  # type: ignore[arg-type]

    peer.refused(0x81, 0x82)


@clause("3.1.2-19 3.1.2-21", "3.1.2-17 3.1.2-19")
@pytest.mark.parametrize("flags", [0b1000_0010, 0b1100_0010])
def test_flags_without_their_fields(client: Client, version: int, flags: int) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", user="u" if flags & 0x40 else None, flags=flags))

    peer.refused(0x81, 0x82)


@clause("3.1.2-22")
def test_a_password_needs_a_user_name(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", password="p"))

    assert not [each for each in peer.until_closed() if each.reason == 0]


@clause("3.1.3-3 3.1.4-1", "3.1.3-3 3.1.4-1")
def test_there_is_a_client_identifier(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    head = codec.string("MQTT") + bytes([version, 2, 0, 0]) + (b"\0" if version == V5 else b"")
    peer.send(codec.frame(codec.CONNECT, head))

    peer.refused(0x81, 0x82, 0x85)


@clause("3.1.3-5 3.1.4-4 3.2.0-1 7.0.0-2 7.1.1-1", "3.1.3-5 3.1.4-5 3.2.0-1 3.2.2-1 3.2.2-8 4.2-1 7.0.0-2")
@pytest.mark.parametrize("name", ["a", "0123456789abcdefghijklm", "nopqrstuvwxyzABCDEFGHIJ", "KLMNOPQRSTUVWXYZ"])
def test_plain_client_identifiers_are_accepted(client: Client, version: int, name: str) -> None:
    peer = client(version, raw=True)
    answer = peer.connect(name)

    assert answer.reason == 0
    assert not answer.session_present


def test_mqtt_3_1_is_spoken(client: Client) -> None:
    peer = client(V31)
    peer.subscribe("three/one", qos=1)
    peer.deliver("three/one", b"m", qos=1)

    assert peer.message().payload == b"m"


@clause("3.1.3-6")
def test_an_empty_client_identifier(client: Client, version: int) -> None:
    """Two of them are two clients."""
    one, two = client(version, ""), client(version, "")
    one.ping()
    two.ping()


@clause("", "3.1.3-6 3.1.3-7 3.2.2-16")
def test_an_assigned_client_identifier(client: Client, version: int) -> None:
    names = set()
    for _ in range(3):
        answer = client(version, raw=True).connect("", properties=PERSISTENT)
        names.add(answer.properties["assigned_client_id"])
    assert len(names) == 3

    again = client(version, raw=True).connect(names.pop(), clean=False, properties=PERSISTENT)
    assert again.session_present


@clause("3.1.3-8 3.2.2-4 3.2.2-5", "")
def test_an_empty_client_identifier_of_a_stored_session(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    answer = peer.connect("", clean=False)

    assert (answer.reason, answer.session_present) == (2, False)
    assert peer.until_closed() == []


@clause("3.1.4-2 3.1.3-2", "3.1.4-3 3.1.3-2")
def test_take_over(client: Client, version: int) -> None:
    older = client(version)
    newer = client(version, older.client_id)

    older.until_closed()
    newer.ping()


@clause("", "3.1.4-3 3.14.2-1 3.14.4-1 3.14.4-2")
@pytest.mark.mosquitto_deviates("2.0.11 just closes the older connection where its session ends")
def test_the_reason_of_a_take_over(client: Client, version: int) -> None:
    older = client(version)
    client(version, older.client_id)

    assert [(each.kind, each.reason) for each in older.until_closed()] == [(codec.DISCONNECT, 0x8E)]


@clause("3.1.2-4 3.1.4-3 3.2.2-1 3.2.2-2 3.2.2-3", "3.1.2-4 3.1.2-5 3.1.2-6 3.1.4-4 3.2.2-2 3.2.2-3 3.1.2-23")
def test_session_present(client: Client, version: int) -> None:
    name = unique("session")
    for clean, present in ((False, False), (False, True), (True, False), (False, version == V5)):
        peer = client(version, raw=True)
        answer = peer.connect(name, **{**kept(version), "clean": clean})
        assert (answer.reason, answer.session_present) == (0, present)
        peer.disconnect()


@clause("3.1.4-5 3.2.2-4 3.2.2-6", "3.1.4-6 3.2.2-6 3.2.2-7")
def test_nothing_is_processed_after_a_rejected_connect(client: Client, version: int) -> None:
    topic = unique()
    watcher = client(version)
    watcher.subscribe(topic)
    peer = client(version, raw=True)
    peer.send(codec.connect(version, "x", flags=0b11), codec.publish(version, topic, b"m"))

    assert all(each.reason and not each.session_present for each in peer.until_closed())
    watcher.nothing()


@clause("3.1.2-24", "3.1.2-22 3.2.2-22")
def test_keep_alive(client: Client, version: int) -> None:
    """A second and a half of silence; the will goes out as if the network had failed. Mosquitto looks seldom."""
    topic = unique("will")
    watcher = client(version)
    watcher.subscribe(topic)
    peer = client(version, keep_alive=1, will=Will(topic, b"gone"))
    peer.socket.settimeout(15)

    assert all(each.reason == 0x8D for each in peer.until_closed())
    assert watcher.message().payload == b"gone"


@clause("3.12.4-1", "3.12.4-1")
def test_ping(client: Client, version: int) -> None:
    peer = client(version)
    peer.send(codec.PING, codec.PING)
    for _ in range(2):
        assert peer.receive().kind == codec.PINGRESP


@clause("", "3.1.2-28 4.12.0-6")
def test_what_nobody_asked_for_is_not_in_connack(client: Client, version: int) -> None:
    answer = client(version, raw=True).connect(properties={"request_response": 0})

    assert "response_information" not in answer.properties
    assert "authentication_method" not in answer.properties


@clause("", "3.2.2-19 3.2.2-20")
def test_connack_yields_to_the_maximum_packet_size(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    peer.send(codec.connect(version, unique(), properties={"maximum_packet_size": 60}))
    packets = [peer.expect(codec.CONNACK)]

    assert packets[0].size <= 60


@clause("", "4.12.0-1 4.12.0-4 3.1.4-2 4.13.2-1 3.2.2-7")
def test_an_unknown_authentication_method(client: Client, version: int) -> None:
    peer = client(version, raw=True)
    answer = peer.connect("x", properties={"authentication_method": "NO SUCH METHOD"})

    assert answer.reason in (0x8C, 0x87)
    assert peer.until_closed() == []
