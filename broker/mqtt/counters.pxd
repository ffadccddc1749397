"""What the dialect counts, where it happens."""

from libc.stdint cimport uint64_t

from broker.mqtt.traffic cimport Traffic

cdef class Counters:
    # messages
    cdef readonly list traffic                      # Traffic of each version: PUBLISH packets, their payloads
    cdef public uint64_t packets_received
    cdef public uint64_t packets_sent
    cdef public uint64_t duplicates_received        # QoS 2, and had already
    cdef public uint64_t dropped_full               # QoS 0: the receiver's output was full
    cdef public uint64_t dropped_offline            # QoS 0: the receiver was not connected
    cdef public uint64_t dropped_too_large          # larger than the receiver's maximum packet size
    cdef public uint64_t dropped_unnameable         # published elsewhere, with a routing key that is no topic name
    cdef public uint64_t dropped_unauthorized       # the receiver may not get it any more
    cdef public uint64_t refused_by_receiver        # PUBACK or PUBREC with a failure
    cdef public uint64_t publish_refused            # answered with a failure, or the connection closed for it
    # connections and sessions
    cdef public uint64_t connections_opened         # CONNACK 0 sent
    cdef public uint64_t connections_closed
    cdef public uint64_t connections_failed         # closed by the broker for what the peer did
    cdef public uint64_t logins_refused
    cdef public uint64_t handshakes_timed_out
    cdef public uint64_t keep_alives_timed_out
    cdef public uint64_t taken_over
    cdef public uint64_t sessions_expired
    cdef public uint64_t subscriptions_refused
    cdef public uint64_t subscriptions_revoked      # granted, and not allowed any more
    cdef public uint64_t wills_published
    cdef public uint64_t wills_refused
    # what a client was told, or would have been in MQTT 5: (what it asked, reason code) → how often
    cdef readonly dict refusals

    cdef Traffic traffic_of(self, int version)
