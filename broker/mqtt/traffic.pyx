"""Messages both ways, of one version of MQTT: see traffic.pxd."""

PROTOCOLS = {3: "mqtt310", 4: "mqtt311", 5: "mqtt50"}


cdef class Traffic:
    """Of all connections of one version, since the start."""

    def __init__(self, str protocol):
        self.protocol = protocol

    cdef void passed(self, Exchange exchange, seen_t* seen) noexcept:
        self.published += exchange.published_in - seen.published
        self.routed += exchange.published_out - seen.routed
        self.unroutable += exchange.unroutable - seen.unroutable

    @property
    def received_by_qos(self) -> list:
        """PUBLISH packets that came: QoS 0, 1, 2."""
        return [self.received[0], self.received[1], self.received[2]]

    @property
    def sent_by_qos(self) -> list:
        """PUBLISH packets that went: QoS 0, 1, 2."""
        return [self.sent[0], self.sent[1], self.sent[2]]
