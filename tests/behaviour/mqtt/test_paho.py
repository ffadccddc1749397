"""Eclipse Paho for Python in all three versions: what most programs that speak MQTT are made of."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.support.mqtt_raw import unique
from tests.support.server import Server

WAIT_S = 10
VERSIONS = [MQTTProtocolVersion.MQTTv31, MQTTProtocolVersion.MQTTv311, MQTTProtocolVersion.MQTTv5]
V5 = MQTTProtocolVersion.MQTTv5


def session_expiry(seconds: int) -> Properties:
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = seconds
    return properties


class Paho:
    """A client with its network thread; what happens to it can be waited for."""

    def __init__(self, server: Server, version: int, name: str = "", clean: bool = True, **will: Any) -> None:
        settings: dict[str, Any] = {} if version == V5 else {"clean_session": clean}
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=name or unique("paho"),
            protocol=MQTTProtocolVersion(version),
            **settings,
        )
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.messages: queue.Queue[mqtt.MQTTMessage] = queue.Queue()
        self.client.on_connect = lambda _c, _u, flags, reason, _p: self.events.put(("connect", (flags, reason)))
        self.client.on_subscribe = lambda _c, _u, _m, reasons, _p: self.events.put(("subscribe", reasons))
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.events.put(("disconnect", reason))
        self.client.on_message = lambda _c, _u, message: self.messages.put(message)
        if will:
            self.client.will_set(**will)
        host, port = server.address
        if version == V5:
            properties = None if clean else session_expiry(300)
            self.client.connect(host, port, clean_start=clean, properties=properties)
        else:
            self.client.connect(host, port)
        self.client.loop_start()
        self.flags, reason = self.wait("connect")
        assert not reason.is_failure, reason

    def wait(self, name: str) -> Any:
        while (event := self.events.get(timeout=WAIT_S))[0] != name:
            pass
        return event[1]

    def subscribe(self, *arguments: Any, **settings: Any) -> Any:
        self.client.subscribe(*arguments, **settings)
        return self.wait("subscribe")

    def publish(self, *arguments: Any, **settings: Any) -> None:
        self.client.publish(*arguments, **settings).wait_for_publish(WAIT_S)

    def message(self) -> mqtt.MQTTMessage:
        return self.messages.get(timeout=WAIT_S)

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def vanish(self) -> None:
        """As if the network had failed."""
        self.client.loop_stop()
        sock = self.client.socket()
        assert sock is not None
        sock.close()


@pytest.fixture
def paho(mqtt_server: Server) -> Iterator[Any]:
    made: list[Paho] = []

    def make(version: int, **settings: Any) -> Paho:
        made.append(Paho(mqtt_server, version, **settings))
        return made[-1]

    yield make
    for each in made:
        each.leave()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_publish_and_subscribe(paho: Any, topic: str, version: int, qos: int) -> None:
    subscriber, publisher = paho(version), paho(version)
    subscriber.subscribe(f"{topic}/+", qos=qos)
    for number in range(20):
        publisher.client.publish(f"{topic}/{number}", b"%d" % number, qos=qos)
    received = [subscriber.message() for _ in range(20)]

    assert [(each.topic, each.payload, each.qos) for each in received] == [
        (f"{topic}/{number}", b"%d" % number, qos) for number in range(20)
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_reach_each_other(paho: Any, topic: str, version: int) -> None:
    subscribers = [paho(each) for each in VERSIONS]
    for each in subscribers:
        each.subscribe(topic, qos=1)
    paho(version).publish(topic, b"m", qos=1)

    assert [each.message().payload for each in subscribers] == [b"m"] * 3


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_384, 900_000])
def test_payload_sizes(paho: Any, topic: str, version: int, size: int) -> None:
    payload = bytes(number & 0xFF for number in range(size))
    peer = paho(version)
    peer.subscribe(topic, qos=1)
    peer.publish(topic, payload, qos=1)

    assert peer.message().payload == payload


@pytest.mark.parametrize("version", VERSIONS)
def test_retained(paho: Any, topic: str, version: int) -> None:
    peer = paho(version)
    peer.publish(topic, b"kept", qos=1, retain=True)
    peer.subscribe(topic)
    assert (message := peer.message()).retain
    assert message.payload == b"kept"
    peer.publish(topic, b"", qos=1, retain=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_will(paho: Any, topic: str, version: int) -> None:
    watcher = paho(version)
    watcher.subscribe(topic, qos=1)
    paho(version, topic=topic, payload=b"gone", qos=1).vanish()

    assert watcher.message().payload == b"gone"


@pytest.mark.parametrize("version", VERSIONS)
def test_persistent_session(paho: Any, topic: str, version: int) -> None:
    name = unique("paho")
    first = paho(version, name=name, clean=False)
    first.subscribe(topic, qos=2)
    first.leave()
    publisher = paho(version)
    for qos in (1, 2):
        publisher.publish(topic, b"%d" % qos, qos=qos)
    again = paho(version, name=name, clean=False)

    assert [again.message().payload for _ in range(2)] == [b"1", b"2"]
    assert again.flags.session_present or version == MQTTProtocolVersion.MQTTv31


@pytest.mark.mosquitto_deviates("2.0.11 just closes the older connection")
def test_take_over_has_a_reason(paho: Any) -> None:
    name = unique("paho")
    older = paho(V5, name=name, clean=False)
    older.client.reconnect_delay_set(min_delay=60, max_delay=60)
    paho(V5, name=name, clean=False)

    assert older.wait("disconnect").value == 0x8E


def test_properties(paho: Any, topic: str) -> None:
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "text/plain"
    properties.ResponseTopic = "answers/here"
    properties.CorrelationData = b"\0\x01"
    properties.UserProperty = [("b", "1"), ("a", "2"), ("b", "3")]
    properties.PayloadFormatIndicator = 1
    properties.MessageExpiryInterval = 1000
    peer = paho(V5)
    peer.subscribe(topic, qos=1)
    peer.publish(topic, b"m", qos=1, properties=properties)
    found = peer.message().properties.json()
    sent = properties.json()

    assert 997 <= found.pop("MessageExpiryInterval") <= 1000
    assert found == {key: value for key, value in sent.items() if key != "MessageExpiryInterval"}


def test_subscription_options(paho: Any, topic: str) -> None:
    peer, other = paho(V5), paho(V5)
    identifier = Properties(PacketTypes.SUBSCRIBE)
    identifier.SubscriptionIdentifier = 42
    options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
    reasons = peer.subscribe(topic, options=options, properties=identifier)
    assert [each.value for each in reasons] == [1]
    peer.publish(topic, b"own", qos=1)
    other.publish(topic, b"other's", qos=1)
    message = peer.message()

    assert message.payload == b"other's"
    assert message.properties.SubscriptionIdentifier == [42]


def test_a_shared_subscription(paho: Any, topic: str) -> None:
    members = [paho(V5), paho(V5)]
    for each in members:
        each.subscribe(f"$share/group/{topic}", qos=1)
    publisher = paho(V5)
    done = threading.Event()
    received: list[bytes] = []
    lock = threading.Lock()

    def on_message(_client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        with lock:
            received.append(bytes(message.payload))
            if len(received) == 20:
                done.set()

    for each in members:
        each.client.on_message = on_message
    for number in range(20):
        publisher.publish(topic, b"%d" % number, qos=1)
    assert done.wait(WAIT_S)
    assert sorted(received) == sorted(b"%d" % number for number in range(20))
