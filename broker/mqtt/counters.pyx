"""What the dialect counts, where it happens: one addition each. Presentation is others' concern."""

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
