"""What the broker itself says and keeps: $SYS, Sparkplug certificates, AMQP queues under $queue, groups that wait."""

from __future__ import annotations

import pytest

from tests.support import mqtt_codec as codec
from tests.support.mqtt_raw import Client, unique
from tests.support.mqtt_server import MqttHubbub
from tests.support.pika_client import connect
from tests.support.server import Server

V5 = 5


@pytest.fixture
def hubbub(mqtt_server: Server) -> MqttHubbub:
    if not isinstance(mqtt_server, MqttHubbub):
        pytest.skip("of Hubbub only")
    return mqtt_server


def kept(expiry_s: int = 600) -> dict[str, object]:
    return {"clean": True, "properties": {"session_expiry": expiry_s}}


@pytest.mark.usefixtures("hubbub")
def test_a_subscriber_of_sys_gets_current_values_as_retained(client: Client) -> None:
    peer = client(V5)
    peer.subscribe("$SYS/broker/version", "$SYS/broker/clients/connected")
    found = {each.topic: each for each in peer.messages(2)}
    assert found["$SYS/broker/version"].payload.startswith(b"hubbub version ")
    assert int(found["$SYS/broker/clients/connected"].payload) >= 1
    assert all(each.retain for each in found.values())


@pytest.mark.usefixtures("hubbub")
def test_sys_is_not_for_clients_to_publish(client: Client) -> None:
    peer = client(V5)
    peer.send(codec.publish(V5, "$SYS/broker/uptime", b"0"))
    assert peer.refused(0x90)


@pytest.mark.usefixtures("hubbub")
def test_a_wildcard_in_front_sees_neither_sys_nor_certificates(client: Client) -> None:
    edge, peer = client(V5), client(V5)
    group = unique("group")
    peer.subscribe("+/broker/#", "+/certificates/#")
    edge.deliver(f"spBv1.0/{group}/NBIRTH/edge", b"birth", qos=1)
    peer.nothing()


@pytest.mark.usefixtures("hubbub")
def test_a_sparkplug_birth_is_kept_as_a_certificate_for_who_comes_later(client: Client) -> None:
    group = unique("group")
    topic = f"spBv1.0/{group}/NBIRTH/edge"
    edge = client(V5)
    edge.deliver(topic, b"birth", qos=1)
    host = client(V5)
    host.subscribe(f"$sparkplug/certificates/spBv1.0/{group}/#", topic)
    message = host.message()
    assert (message.topic, message.payload, message.retain) == (f"$sparkplug/certificates/{topic}", b"birth", True)
    host.nothing()


def test_a_client_competes_for_an_amqp_queue(client: Client, hubbub: MqttHubbub) -> None:
    name = unique("queue")
    peer = client(V5)
    assert peer.subscribe(f"$queue/{name}", qos=1).reasons[0] >= 0x80  # it is not there yet
    connection = connect(f"amqp://guest:guest@127.0.0.1:{hubbub.amqp_port}/%2F")
    channel = connection.channel()
    channel.queue_declare(name)
    assert peer.subscribe(f"$queue/{name}", qos=1).reasons == (1,)
    channel.confirm_delivery()
    channel.basic_publish("", name, b"work")
    message = peer.message(acknowledge=False)
    assert message.payload == b"work"
    assert message.packet_id is None or message.packet_id >= 32768
    peer.acknowledge(message)
    peer.ping()
    assert channel.queue_declare(name, passive=True).method.message_count == 0
    channel.queue_delete(name)
    connection.close()


@pytest.mark.usefixtures("hubbub")
def test_a_group_keeps_qos_1_for_members_that_are_away_and_nothing_else(client: Client) -> None:
    topic, group = unique(), unique("group")
    member = client(V5, **kept())
    member.subscribe(f"$share/{group}/{topic}", qos=1)
    member.close()
    sender = client(V5)
    sender.deliver(topic, b"at most once")
    sender.deliver(topic, b"at least once", qos=1)
    again = client(V5, member.client_id, clean=False, properties={"session_expiry": 0})
    assert again.message().payload == b"at least once"
    again.nothing()
