"""MQTT's packets and properties on whatever Hypothesis thinks of: what a client writes is what is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.mqtt import packets
from broker.mqtt.connect import Will, decode_connect
from broker.mqtt.properties import Packet, Properties, decode_properties, encode_properties
from broker.mqtt.publish_properties import check_publish
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.topics import check_topic_filter
from broker.mqtt.translate import from_amqp, from_amqp_bytes, swapped, to_amqp
from tests.oracles import field_table
from tests.oracles import mqtt_packets as client
from tests.properties.test_properties import PROPERTIES

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
RAW_TEXT = TEXT.map(str.encode)
TOPICS = st.text(st.characters(codec="utf-8", exclude_characters="\0+#"), min_size=1, max_size=40)
LEVELS = st.one_of(st.just("+"), st.text(st.sampled_from("ab.é* $"), max_size=4))
MESSAGES = st.builds(
    Properties,
    payload_format_indicator=st.sampled_from([None, 0, 1]),
    message_expiry_interval=st.none() | st.integers(0, 315_360_000),
    content_type=st.none() | RAW_TEXT,
    response_topic=st.none() | TOPICS.map(str.encode),
    correlation_data=st.none() | st.binary(max_size=300),
    user_properties=st.lists(
        st.tuples(st.one_of(RAW_TEXT, st.sampled_from([b"CC", b"x-mqtt-topic", b"x-reply-to-topic", b"k"])), RAW_TEXT),
        max_size=5,
    ),
)


@given(MESSAGES)
def test_properties_are_read_as_they_were_written(properties):
    encoded = encode_properties(properties)

    assert decode_properties(b"before" + encoded + b"behind", 6, Packet.PUBLISH) == (properties, 6 + len(encoded))


@given(MESSAGES, st.integers(0, 2), TOPICS.map(str.encode))
def test_nothing_is_lost_between_mqtt_and_mqtt(properties, qos, topic):
    assert from_amqp(to_amqp(properties, qos, topic)) == properties


@given(PROPERTIES)
def test_whatever_amqp_says_becomes_what_a_publish_may_have(properties):
    raw = field_table.write_properties(properties)

    check_publish(from_amqp_bytes(raw))


@given(
    st.sampled_from([3, 4, 5]), st.integers(1, 65_535), st.lists(st.lists(LEVELS, min_size=1), min_size=1), st.data()
)
def test_a_subscribe_is_read_as_it_was_written(version, packet_id, filters, data):
    topic_filters = [name for name in map("/".join, filters) if name] or ["#"]
    options = [data.draw(st.integers(0, 2)) for _ in topic_filters]
    body = client.subscribe(version, packet_id, zip(topic_filters, options, strict=True))

    subscribe = packets.decode_subscribe(version, body)

    assert subscribe.packet_id == packet_id
    found = [(each.topic_filter.decode(), each.qos) for each in subscribe.subscriptions]
    assert found == list(zip(topic_filters, options, strict=True))


@given(st.sampled_from([3, 4, 5]), TEXT.filter(bool), TEXT, st.binary(max_size=50), st.integers(0, 65_535), TOPICS)
def test_a_connect_is_read_as_it_was_written(version, client_id, username, password, keep_alive, topic):
    will = (topic, b"\xff", 2, True)
    body = client.connect(version, client_id, keep_alive=keep_alive, username=username, password=password, will=will)

    connect = decode_connect(body)

    assert (connect.version, connect.client_id, connect.keep_alive_s) == (version, client_id, keep_alive)
    assert (connect.username, connect.password) == (username, password)
    assert connect.will == Will(topic.encode(), b"\xff", 2, True, Properties())


@given(st.text(st.sampled_from("a/+#"), max_size=8))
def test_a_filter_is_valid_where_its_wildcards_stand_alone(name):
    levels = name.split("/")
    expected = bool(name) and all(
        level in ("+", "#") or not set(level) & {"+", "#"} for level in levels
    ) and "#" not in levels[:-1]  # fmt: skip
    if expected:
        check_topic_filter(name.encode())
    else:
        with pytest.raises(MqttError) as refused:
            check_topic_filter(name.encode())
        assert refused.value.reason == Reason.TOPIC_FILTER_INVALID


@given(RAW_TEXT)
def test_the_swap_is_its_own_inverse(topic):
    assert swapped(swapped(topic)) == topic
