# cython: annotation_typing=False
"""What all MQTT connections of the broker share: settings, counters, sessions, keep-alives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.mqtt import acl, ending, review
from broker.mqtt.admission import ConnectRate
from broker.mqtt.counters import Counters
from broker.mqtt.figures import figures
from broker.mqtt.keep_alive import KeepAlives
from broker.mqtt.properties import Properties
from broker.mqtt.reasons import VERSION_5, MqttError, Reason
from broker.mqtt.replies import encode_connack
from broker.mqtt.sessions import Sessions
from broker.mqtt.sparkplug import Certificates
from broker.mqtt.subscribing import LongPackets
from broker.mqtt.sys_topics import SysTopics, may_publish
from broker.version import VERSION

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.core.vhost import VirtualHost
    from broker.mqtt.connection import MqttConnection

RECEIVE_MAXIMUM_DEFAULT = 65_535


class Endpoint:
    """One per broker. Makes nothing by itself."""

    def __init__(self, broker: Broker, limits: Any, settings: Any, *, certificate_is_login: bool = False) -> None:
        """`limits`: limits.Limits; `settings`: config.Mqtt.

        `certificate_is_login`: who gives no password is whom the client's certificate names.
        """
        self.broker = broker
        self.certificate_is_login = certificate_is_login
        self.counters = Counters()
        self.connect_rate = ConnectRate(broker.clock, settings.connections_per_second_max)
        self.sys_topics = SysTopics(
            broker, broker.clock, lambda: figures(self), version=VERSION, interval_s=settings.sys_interval_s
        )
        self.sessions = Sessions(broker, self.counters, settings, limits, self.sys_topics)
        broker.access.listen(lambda user: review.review_all(self.sessions, user))
        self.long_packets = LongPackets(broker.clock)
        self.sparkplug: bool = settings.sparkplug
        self.certificates: dict[str, Certificates] = {}
        self.connections: set[MqttConnection] = set()
        self.opened = 0
        self.clients_maximum = 0
        self.closed_bytes_received = 0
        self.closed_bytes_sent = 0
        self.keep_alives = KeepAlives(broker.clock, ending.on_silent, limits.handshake_timeout_ms)
        self.use(settings, limits)

    def use(self, settings: Any, limits: Any) -> None:
        """What counts for connections and sessions that come from now on."""
        self.vhost_name: str = settings.vhost
        self.anonymous: str = settings.anonymous
        self.anonymous_user: str = settings.anonymous_user
        self.server_keep_alive_s: int = settings.keep_alive_max_s
        self.receive_maximum: int = limits.mqtt_receive_max
        self.inflight_max: int = limits.mqtt_inflight_max
        self.topic_alias_maximum: int = limits.mqtt_topic_aliases_max
        self.message_bytes_max: int = limits.message_bytes_max
        self.control_bytes_max: int = limits.mqtt_control_packet_bytes_max
        self.open_batch_bytes_max: int = limits.open_batch_bytes_max
        self.topic_levels_max: int = limits.mqtt_topic_levels_max
        self.topic_bytes_max: int = limits.mqtt_topic_bytes_max
        self.connect_rate.use(settings.connections_per_second_max)
        self.keep_alives.handshake_timeout_ms = limits.handshake_timeout_ms
        self.sessions.use(settings, limits)
        self.client_id_rule: str = settings.client_id
        self.usual_terms = usual_terms(self.receive_maximum, self.topic_alias_maximum)
        self.usual_connack = encode_connack(VERSION_5, False, Reason.SUCCESS, self.usual_terms)
        self.broker.access.topics.fix(acl.fixed_rules(settings.acls), default_allow=settings.acl_default == "allow")

    def restore(self) -> int:
        """Bring back the sessions that the store has; how many."""
        for vhost in self.broker.vhosts.values():
            self.prepare(vhost)
        return self.sessions.restore()

    def prepare(self, vhost: VirtualHost) -> None:
        """A vhost has MQTT clients from now on: its Sparkplug births are kept. Once; a deleted vhost's came with it."""
        known = self.certificates.get(vhost.name)
        if self.sparkplug and (known is None or known.vhost is not vhost):
            self.certificates[vhost.name] = Certificates(vhost)

    def on_opened(self, connection: MqttConnection) -> None:
        """A transport is there; CONNECT has to follow in time."""
        self.connections.add(connection)
        self.opened += 1
        self.keep_alives.watch(connection)

    def on_closed(self, connection: MqttConnection) -> None:
        """It is over: what it moved is remembered in the sum."""
        if connection in self.connections:
            self.connections.discard(connection)
            output = connection.output
            self.closed_bytes_received += output.bytes_received
            self.closed_bytes_sent += output.bytes_sent

    def check_topic(self, topic: bytes) -> None:
        """A topic name that a client publishes to. Raises MqttError."""
        if topic.count(b"/") >= self.topic_levels_max:
            raise MqttError(Reason.TOPIC_NAME_INVALID, f"a topic has more than {self.topic_levels_max} levels")
        if len(topic) > self.topic_bytes_max:
            raise MqttError(Reason.TOPIC_NAME_INVALID, f"a topic has more than {self.topic_bytes_max} bytes")
        if not may_publish(topic):
            raise MqttError(Reason.TOPIC_NAME_INVALID, "topics below $SYS are the broker's own")


def usual_terms(receive_maximum: int, topic_alias_maximum: int) -> Properties:
    """What CONNACK says to every client: where our terms differ from what holds unsaid (MQTT 5 §3.2.2.3)."""
    return Properties(
        receive_maximum=receive_maximum if receive_maximum < RECEIVE_MAXIMUM_DEFAULT else None,
        topic_alias_maximum=topic_alias_maximum or None,
    )
