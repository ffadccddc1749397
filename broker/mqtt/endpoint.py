"""What all MQTT connections of the broker share: settings, counters, sessions, keep-alives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from broker.mqtt import control
from broker.mqtt.counters import Counters
from broker.mqtt.keep_alive import KeepAlives
from broker.mqtt.reasons import MqttError, Reason
from broker.mqtt.sessions import Sessions

if TYPE_CHECKING:
    from broker.core.broker import Broker
    from broker.mqtt.connection import MqttConnection


class Endpoint:
    """One per broker. Makes nothing by itself."""

    def __init__(self, broker: Broker, limits: Any, settings: Any) -> None:
        """`limits`: limits.Limits; `settings`: config.Mqtt."""
        self.broker = broker
        self.counters = Counters()
        self.vhost_name: str = settings.vhost
        self.anonymous: str = settings.anonymous
        self.anonymous_user: str = settings.anonymous_user
        self.server_keep_alive_s: int = settings.keep_alive_max_s
        self.receive_maximum: int = limits.mqtt_receive_maximum
        self.inflight_max: int = limits.mqtt_inflight_max
        self.topic_alias_maximum: int = limits.mqtt_topic_aliases_max
        self.message_bytes_max: int = limits.message_bytes_max
        self.control_bytes_max: int = limits.mqtt_control_packet_bytes_max
        self.open_batch_bytes_max: int = limits.open_batch_bytes_max
        self.topic_levels_max: int = limits.mqtt_topic_levels_max
        self.subscriptions_max: int = limits.mqtt_subscriptions_per_session_max
        self.sessions = Sessions(broker, self.counters, settings, limits)
        self.connections: set[MqttConnection] = set()
        self.keep_alives = KeepAlives(broker.clock, control.on_silent, limits.handshake_timeout_ms)

    def restore(self) -> int:
        """Bring back the sessions that the store has; how many."""
        return self.sessions.restore()

    def on_opened(self, connection: MqttConnection) -> None:
        """A transport is there; CONNECT has to follow in time."""
        self.connections.add(connection)
        self.keep_alives.watch(connection)

    def check_topic(self, topic: bytes) -> None:
        """A topic name that a client publishes to. Raises MqttError."""
        if topic.count(b"/") >= self.topic_levels_max:
            raise MqttError(Reason.TOPIC_NAME_INVALID, f"a topic has more than {self.topic_levels_max} levels")
        if topic.startswith(b"$SYS/"):
            raise MqttError(Reason.TOPIC_NAME_INVALID, "topics below $SYS are the broker's own")
