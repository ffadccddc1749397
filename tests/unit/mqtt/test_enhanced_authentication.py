"""AUTH on a whole connection, without a socket: SCRAM before CONNACK, again later, and what ends the connection."""

from __future__ import annotations

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_in_process import MqttInProcess
from tests.support.peer import cheap_passwords
from tests.unit.mqtt.test_scram import answer_to

METHOD = "SCRAM-SHA-256"
FIRST = "n=guest,r=abc"


@pytest.fixture(scope="module")
def inside():
    with cheap_passwords():
        inside = MqttInProcess()
        inside.broker.access.add_user("other", b"other", tags=["administrator"])
        yield inside
        inside.close()


@pytest.fixture
def client(inside):
    client = inside.arrive(5)
    yield client
    client.lose()


def said(data, method=METHOD):
    return {"authentication_method": method, "authentication_data": data}


def begin(client, first=FIRST):
    client.hear(codec.connect(5, "scram", properties=said(f"n,,{first}".encode())))
    return client.talk()


def go_on(client, challenge, first=FIRST, password="guest"):
    data = answer_to(challenge.properties["authentication_data"], first, password)
    client.hear(codec.auth(0x18, said(data)))
    return client.talk()


def logged_in(client):
    (challenge,) = begin(client)
    (connack,) = go_on(client, challenge)
    assert (connack.kind, connack.reason) == (codec.CONNACK, 0)
    return connack


def test_auth_then_connack_proves_both_sides(client):
    (challenge,) = begin(client)
    assert (challenge.kind, challenge.reason) == (codec.AUTH, 0x18)
    assert challenge.properties["authentication_method"] == METHOD
    (connack,) = go_on(client, challenge)
    assert (connack.kind, connack.reason) == (codec.CONNACK, 0)
    assert connack.properties["authentication_method"] == METHOD  # [MQTT-4.12.0-5]
    assert connack.properties["authentication_data"].startswith(b"v=")
    assert (client.connection.user.name, client.connection.username) == ("guest", "guest")
    client.hear(codec.PING)
    assert [each.kind for each in client.talk()] == [codec.PINGRESP]


def test_the_name_may_say_the_vhost(client):
    first = "n=/:guest,r=abc"
    (challenge,) = begin(client, first)
    (connack,) = go_on(client, challenge, first)
    assert (connack.reason, client.connection.vhost.name) == (0, "/")


def test_without_data_the_client_is_asked_for_it(client):
    client.hear(codec.connect(5, "scram", properties={"authentication_method": METHOD}))
    (empty,) = client.talk()
    assert (empty.kind, empty.reason) == (codec.AUTH, 0x18)
    assert "authentication_data" not in empty.properties
    client.hear(codec.auth(0x18, said(f"n,,{FIRST}".encode())))
    (challenge,) = client.talk()
    assert go_on(client, challenge)[0].reason == 0


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (codec.auth(0x18, said(b"x", "PLAIN")), 0x82),  # [MQTT-4.12.0-5]
        (codec.auth(0x19, said(b"x")), 0x82),
        (codec.auth(0x18, said(b"c=biws,r=abc,p=AAAA")), 0x87),  # [MQTT-4.12.0-4]
        (codec.PING, 0x82),
        (codec.publish(5, "a", b"x"), 0x82),
    ],
)
def test_what_ends_it_before_connack(client, packet, reason):
    begin(client)
    client.hear(packet)
    assert [(each.kind, each.reason) for each in client.talk()] == [(codec.CONNACK, reason)]
    assert client.is_over


def test_a_wrong_password_is_counted(client, inside):
    before = inside.mqtt.counters.logins_refused
    (challenge,) = begin(client)
    assert [(each.kind, each.reason) for each in go_on(client, challenge, password="no")] == [(codec.CONNACK, 0x87)]
    assert client.is_over
    assert inside.mqtt.counters.logins_refused == before + 1


def test_an_unknown_method(client):
    client.hear(codec.connect(5, "scram", properties=said(b"x", "GS2-KRB5")))
    assert [(each.kind, each.reason) for each in client.talk()] == [(codec.CONNACK, 0x8C)]  # [MQTT-4.12.0-1]
    assert client.is_over


def test_disconnect_instead_of_an_answer(client):
    begin(client)
    client.hear(codec.disconnect(5))
    assert client.talk() == []
    assert client.is_over


def test_re_authentication_while_work_goes_on(client):
    logged_in(client)
    client.hear(codec.auth(0x19, said(f"n,,{FIRST}".encode())))
    (challenge,) = client.talk()
    client.hear(codec.publish(5, "a", b"x", qos=1, packet_id=7))  # the old identity holds meanwhile (§4.12.1)
    assert [each.kind for each in client.talk()] == [codec.PUBACK]
    (done,) = go_on(client, challenge)
    assert (done.kind, done.reason) == (codec.AUTH, 0)
    assert done.properties["authentication_data"].startswith(b"v=")
    assert not client.is_over


@pytest.mark.parametrize(("first", "password", "reason"), [(FIRST, "no", 0x87), ("n=other,r=abc", "other", 0x87)])
def test_re_authentication_that_fails_ends_the_connection(client, first, password, reason):
    logged_in(client)
    client.hear(codec.auth(0x19, said(f"n,,{first}".encode())))
    (challenge,) = client.talk()
    answer = go_on(client, challenge, first, password)
    assert [(each.kind, each.reason) for each in answer] == [(codec.DISCONNECT, reason)]  # [MQTT-4.12.1-2]
    assert client.is_over


def test_auth_where_connect_named_no_method(client):
    client.hear(codec.connect(5, "plain"))
    client.talk()
    client.hear(codec.auth(0x19, said(b"x")))
    assert [(each.kind, each.reason) for each in client.talk()] == [(codec.DISCONNECT, 0x82)]  # [MQTT-4.12.1-1]
