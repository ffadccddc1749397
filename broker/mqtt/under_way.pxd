"""What is under way between a client and its session, until it is acknowledged: QoS 1 and 2, both ways.

    out   PUBLISH ─▶ PUBACK;  PUBLISH ─▶ PUBREC ─▶ PUBREL ─▶ PUBCOMP      Inflight, of the own queue and of shared ones
    in    PUBLISH ─▶ PUBREC ─▶ PUBREL ─▶ PUBCOMP                          PacketIds: taken, and not yet released

Owns the packet identifiers, and what an acknowledgement does to the message behind one. Refuses to know subscriptions,
and how a PUBLISH is written (`session`).

Invariant: what changes of QoS 2 in a session that is stored is written down with the batch in which it changes.
"""

from libc.stdint cimport uint16_t

from broker.core.publisher cimport Contributor, Store
from broker.core.queue cimport Queue
from broker.core.target cimport Target
from broker.mqtt.counters cimport Counters
from broker.mqtt.inflight cimport Inflight
from broker.mqtt.packet_ids cimport PacketIds
from broker.mqtt.traffic cimport Traffic

cdef enum:
    SHARED_ID_FIRST = 32768         # packet identifiers from here on are those of shared queues


cdef class UnderWay(Target):
    cdef readonly object sessions               # sessions.Sessions
    cdef Store store
    cdef readonly Counters counters
    cdef Traffic traffic                        # of the version that the client speaks, or spoke last
    cdef readonly Queue queue                   # the session's own; None until a subscription needs it
    cdef public list shares                     # SessionConsumer of each shared subscription; None: none
    cdef Inflight inflight                      # of the own queue
    cdef Inflight shared_inflight               # of shared ones
    cdef uint16_t shared_id                     # the one given last
    cdef public list released                   # while nobody is connected: identifiers whose PUBREL is owed
    cdef bint owes_wake                         # settled something since: its queues may go on
    cdef readonly PacketIds received            # QoS 2 towards the broker: taken and not yet released; None: none ever
    cdef DurableState state                     # None where nothing is written down

    cdef int on_puback(self, uint16_t packet_id, bint failed) except -1
    # QoS 2: True where PUBREL is to be sent.
    cdef bint on_pubrec(self, uint16_t packet_id, bint failed) except -1
    cdef bint on_pubcomp(self, uint16_t packet_id) except -1
    cdef int wake(self) except -1
    cpdef wake_all(self)
    cdef int note_received(self, uint16_t packet_id, bint is_received) except -1
    cdef int state_changed(self) except -1


cdef class DurableState(Contributor):
    """Has the session written down, once per batch in which it changed."""
    cdef UnderWay session


cdef inline bint has_received(UnderWay session, uint16_t packet_id) noexcept:
    return session.received is not None and session.received.has(packet_id)
