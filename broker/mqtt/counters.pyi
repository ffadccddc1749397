"""Typed signatures of `counters.pyx`."""

from broker.mqtt.reasons import Reason
from broker.mqtt.traffic import Traffic

COUNTED: tuple[str, ...]

class Counters:
    """Of all MQTT connections and sessions of the broker."""

    @property
    def traffic(self) -> list[Traffic]: ...
    @property
    def publish_received(self) -> int: ...
    @property
    def publish_bytes_received(self) -> int: ...
    @property
    def publish_sent(self) -> int: ...
    @property
    def publish_bytes_sent(self) -> int: ...
    packets_received: int
    packets_sent: int
    duplicates_received: int
    dropped_full: int
    dropped_offline: int
    dropped_too_large: int
    dropped_unnameable: int
    dropped_unauthorized: int
    refused_by_receiver: int
    publish_refused: int
    connections_opened: int
    connections_closed: int
    connections_failed: int
    logins_refused: int
    handshakes_timed_out: int
    keep_alives_timed_out: int
    taken_over: int
    sessions_expired: int
    subscriptions_refused: int
    subscriptions_revoked: int
    wills_published: int
    wills_refused: int
    def as_dict(self) -> dict[str, int]: ...
    @property
    def refusals(self) -> dict[tuple[str, Reason], int]: ...
    def refuse(self, asked: str, reason: Reason) -> None: ...
    def refuse_publish(self, reason: Reason) -> None: ...
