"""What a session has sent with QoS 1 or 2 and not yet heard the end of, by packet identifier.

Owns one entry and one reference to its queue per PUBLISH that waits, and the identifier alone while a PUBREL waits. A
ring in order of sending, with holes where some were done with; a packet identifier is found by its distance from the
first, because they follow each other. Knows no packets.

Invariants: the first place is never a hole; an identifier stands in it once.
"""

from cpython.ref cimport PyObject
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t

from broker.core.entry cimport entry_t
from broker.core.queue cimport Queue

cdef enum:
    HOLE = 0
    SENT_QOS1 = 1                   # PUBACK awaited
    SENT_QOS2 = 2                   # PUBREC awaited
    WAITING = 4                     # not yet sent: until it is on disk
    RELEASED = 3                    # PUBCOMP awaited: the message is settled

ctypedef struct place_t:
    entry_t entry
    PyObject* queue                 # owned; NULL once the message is settled
    uint16_t packet_id
    uint8_t state

cdef class Inflight:
    cdef place_t* places
    cdef size_t capacity            # a power of two, or 0
    cdef size_t head
    cdef size_t used                # places from the first to the last, holes included
    cdef readonly size_t count      # without the holes
    cdef bint has_gaps              # identifiers do not follow each other: distance may not tell

    # Takes over the entry, and takes a reference to the queue; `entry` NULL for a released identifier.
    cdef int hold(self, entry_t* entry, Queue queue, uint16_t packet_id, uint8_t state) except -1
    cdef place_t* find(self, uint16_t packet_id) noexcept       # NULL where it is not in flight
    # Settles the place's message and lets go of its queue; the identifier stays.
    cdef int settle(self, place_t* place, int outcome) except -1
    cdef void remove(self, place_t* place) noexcept             # the identifier is free; its message is settled
    cdef list released(self)                                    # identifiers whose PUBCOMP is awaited, in order
    # Everything in flight goes back to its queue; identifiers that were released, in order.
    cdef list give_back(self)
