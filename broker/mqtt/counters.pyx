"""What the dialect counts, where it happens: one addition each. Presentation is others' concern."""

from broker.mqtt.traffic cimport Traffic

from broker.mqtt.traffic import PROTOCOLS

COUNTED = (
    "publish_received", "publish_bytes_received", "publish_sent", "publish_bytes_sent", "packets_received",
    "packets_sent", "duplicates_received", "dropped_full", "dropped_offline", "dropped_too_large",
    "dropped_unnameable", "dropped_unauthorized", "refused_by_receiver", "publish_refused", "connections_opened",
    "connections_closed", "connections_failed", "logins_refused", "handshakes_timed_out", "keep_alives_timed_out",
    "taken_over", "sessions_expired", "subscriptions_refused", "subscriptions_revoked", "wills_published",
    "wills_refused",
)


cdef class Counters:
    """Of all MQTT connections and sessions of the broker."""

    def __init__(self):
        self.refusals = {}
        self.traffic = [Traffic(protocol) for protocol in PROTOCOLS.values()]

    cdef Traffic traffic_of(self, int version):
        """Of 3, 4 or 5."""
        return <Traffic>self.traffic[version - 3]

    @property
    def publish_received(self) -> int:
        """PUBLISH packets that came."""
        return sum(sum(each.received_by_qos) for each in self.traffic)

    @property
    def publish_bytes_received(self) -> int:
        """… and their payloads."""
        return sum(each.bytes_received for each in self.traffic)

    @property
    def publish_sent(self) -> int:
        """PUBLISH packets that went."""
        return sum(sum(each.sent_by_qos) for each in self.traffic)

    @property
    def publish_bytes_sent(self) -> int:
        """… and their payloads."""
        return sum(each.bytes_sent for each in self.traffic)

    def as_dict(self) -> dict:
        """Every count by its name; refusals aside."""
        return {name: getattr(self, name) for name in COUNTED}

    def refuse(self, str asked, reason):
        """A client is refused what it asked: CONNECT, SUBSCRIBE, PUBLISH, or its connection is ended (DISCONNECT)."""
        self.refusals[(asked, reason)] = self.refusals.get((asked, reason), 0) + 1

    def refuse_publish(self, reason):
        """One message is refused."""
        self.publish_refused += 1
        self.refuse("PUBLISH", reason)
