"""Sparkplug-aware: births are kept as certificates, and a death is told with its own time (Sparkplug 3.0.0 §10)."""

import pytest

from broker.mqtt.sparkplug import Certificates, is_node_death, with_timestamp
from storage.memory_store import MemoryStore
from tests.support.peer import Core

NBIRTH = "spBv1/0.factory.NBIRTH.edge"
DBIRTH = "spBv1/0.factory.DBIRTH.edge.device"


def certificates(core):
    found = (each.message for each in core.vhost.retained.matches(b"$sparkplug.#"))
    return {message.routing_key.decode(): message.body for message in found}


@pytest.fixture
def aware(core):
    Certificates(core.vhost)
    return core


@pytest.mark.parametrize("topic", [NBIRTH, DBIRTH])
def test_tck_id_conformance_mqtt_aware_store_births_are_retained_as_certificates(aware, peer, topic):
    peer.publish(topic, b"first", exchange="amq.topic")
    peer.publish(topic, b"again", exchange="amq.topic")
    assert certificates(aware) == {f"$sparkplug.certificates.{topic}": b"again"}


@pytest.mark.parametrize(
    "topic",
    [
        "spBv1/0.factory.NDATA.edge", "spBv1/0.factory.NDEATH.edge", "spBv1/0.factory.NBIRTH", "spBv1/0.f.NBIRTH.e.d",
        "spBv1/0.f.DBIRTH.e", "spAv1/0.f.NBIRTH.e", "spBv1.0.f.NBIRTH.e",
    ],
)  # fmt: skip
def test_nothing_else_is(aware, peer, topic):
    peer.publish(topic, b"1", exchange="amq.topic")
    assert certificates(aware) == {}


def test_births_themselves_pass_unharmed_and_are_not_retained(aware, peer):
    peer.declare("q")
    peer.bind("amq.topic", "#")
    peer.publish(NBIRTH, b"birth", exchange="amq.topic", delivery_mode=2)
    content = peer.got()
    assert (content.fields["routing_key"], content.body) == (NBIRTH, b"birth")
    assert peer.get() is None  # the certificate is for those who name it
    assert aware.vhost.retained.matches(b"spBv1/0.#") == []


def test_who_is_subscribed_to_certificates_gets_them_at_once(aware, peer):
    peer.declare("q")
    peer.bind("amq.topic", "$sparkplug.certificates.#")
    peer.publish(NBIRTH, b"birth", exchange="amq.topic")
    assert peer.got().fields["routing_key"] == f"$sparkplug.certificates.{NBIRTH}"


def test_a_birth_for_nobody_is_unroutable_and_yet_confirmed_when_its_certificate_is_on_disk(aware, peer):
    peer.call("confirm.select")
    peer.publish(NBIRTH, b"birth", exchange="amq.topic")
    assert peer.confirms() == []
    aware.commit()
    assert peer.confirms() == [("ack", 1, False)]
    restarted = Core(MemoryStore(state=aware.crash()))
    assert list(certificates(restarted).values()) == [b"birth"]
    restarted.crash()


def test_the_bindings_of_certificates_are_nobodys(aware):
    assert list(aware.vhost.bindings()) == []


@pytest.mark.parametrize(
    ("topic", "is_death"),
    [
        (b"spBv1/0.g.NDEATH.e", True), (b"spBv1/0.g.DDEATH.e.d", False), (b"spBv1/0.g.NDEATH", False),
        (b"spBv1/0.NDEATH.g.e", False), (b"x.g.NDEATH.e", False),
    ],
)  # fmt: skip
def test_a_node_death_is_known_by_its_topic(topic, is_death):
    assert is_node_death(topic) is is_death


NOW_MS = 1_700_000_000_000
TIMESTAMP = b"\x08\x80\xd0\x95\xff\xbc\x31"  # field 1, varint, NOW_MS
METRIC = b"\x12\x04\x0a\x02bd"
SEQUENCE = b"\x18\x80\x02"
FIXED = b"\x21" + bytes(8) + b"\x2d" + bytes(4)


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"\x08\x01" + METRIC + SEQUENCE, TIMESTAMP + METRIC + SEQUENCE),
        (METRIC + b"\x08\xff\xff\x01" + FIXED, TIMESTAMP + METRIC + FIXED),
        (METRIC, TIMESTAMP + METRIC),
        (b"", TIMESTAMP),
    ],
)
def test_tck_id_conformance_mqtt_aware_ndeath_timestamp_is_that_of_delivery(payload, expected):
    assert with_timestamp(payload, NOW_MS) == expected


@pytest.mark.parametrize("size", range(1, len(METRIC + FIXED)))
def test_a_payload_that_is_cut_short_stays_as_it_is_or_loses_nothing(size):
    payload = (METRIC + FIXED)[:size]
    whole = {len(METRIC), len(METRIC) + 9}
    assert with_timestamp(payload, NOW_MS) == (TIMESTAMP + payload if size in whole else payload)


@pytest.mark.parametrize("payload", [b"\xff" * 11, b"\x0b", b"{}", b"\x12\xff\xff\xff\xff\x7f"])
def test_what_is_no_protobuf_stays_as_it_is(payload):
    assert with_timestamp(payload, NOW_MS) == payload
