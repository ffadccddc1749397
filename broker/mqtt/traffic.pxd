"""Messages both ways, of one version of MQTT: what a scrape tells apart by protocol.

Owns nothing but the counts. What an exchange makes of the messages of a read is what it counts meanwhile: looked at
once before and once after, so that a message pays nothing for it.
"""

from libc.stdint cimport uint64_t

from broker.core.exchange cimport Exchange

ctypedef struct seen_t:                     # an exchange's counts at one moment
    uint64_t published
    uint64_t routed
    uint64_t unroutable

cdef inline void see(Exchange exchange, seen_t* seen) noexcept:
    seen.published = exchange.published_in
    seen.routed = exchange.published_out
    seen.unroutable = exchange.unroutable


cdef class Traffic:
    cdef readonly str protocol              # RabbitMQ's name: mqtt310, mqtt311, mqtt50
    cdef uint64_t received[3]               # PUBLISH packets by QoS …
    cdef readonly uint64_t bytes_received   # … their payloads
    cdef uint64_t sent[3]
    cdef readonly uint64_t bytes_sent
    cdef readonly uint64_t resent           # … of those with DUP
    cdef readonly uint64_t acknowledged     # PUBACK, PUBCOMP came
    cdef readonly uint64_t confirmed        # PUBACK, PUBCOMP said, but no refusals
    cdef readonly uint64_t published        # at the exchange
    cdef readonly uint64_t routed           # … and handed to targets, each counted
    cdef readonly uint64_t unroutable       # … for which there was no target

    # What the exchange has counted since `seen` is this version's.
    cdef void passed(self, Exchange exchange, seen_t* seen) noexcept


cdef inline void count_sent(Traffic traffic, int qos, size_t size, bint is_dup) noexcept:
    traffic.sent[qos] += 1
    traffic.bytes_sent += size
    traffic.resent += is_dup
