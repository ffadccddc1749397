"""What a client is owed for its QoS 1 and 2 packets: answers that leave only when the core says "accepted" (law 1).

    PUBLISH, PUBREC, PUBREL ─▶ promise ─▶ … the batch is on disk … ─▶ PUBACK, PUBREC, PUBREL, PUBCOMP, in order

Owns a ring of answers by the publisher's number (core.publisher). Where nothing waits for the disk, an answer leaves at
the end of the read that asked for it. Knows nothing of sessions.

Invariant: answers leave in the order of the packets that they answer [MQTT-4.6.0-2], [MQTT-4.6.0-3].
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t

from broker.core.publisher cimport Publisher
from broker.mqtt.counters cimport Counters
from broker.mqtt.session cimport Session
from broker.mqtt.traffic cimport Traffic
from broker.wire.output cimport Output

cdef class Answers(Publisher):
    cdef object connection              # None once it is gone
    cdef Output output
    cdef Counters counters
    cdef Traffic traffic
    cdef Session session
    cdef bint is_5
    cdef uint32_t* ring                 # reason << 24 | packet type << 16 | packet id
    cdef size_t capacity                # a power of two, or 0
    cdef size_t head
    cdef readonly size_t count          # promised, and not yet said
    cdef size_t failures                # … of them refusals that MQTT 5 is told the reason of
    # What the receive maximum counts: messages of this connection to which neither PUBACK, PUBCOMP nor a refusal was
    # said [MQTT-3.3.4-7]. Fewer where PUBCOMP answered what came by an earlier connection.
    cdef readonly size_t unfinished

    # `kind`: packet type of the answer; `outcome` as of core.target: STORED waits, REFUSED becomes a failure.
    cdef int promise(self, int kind, uint32_t packet_id, int reason, int outcome) except -1
