"""Retained messages: the last one of each topic, for whoever subscribes later (MQTT 5.0 §3.3.1.3).

Owns which message is retained under which topic, their number and size, their expiry, and their copy in the store.
Refuses to know subscriptions, and when a message is to be retained: the dialect calls `retain` beside publishing it.
Topics are in routing-key form (dots), filters in binding-key form (`*`, `#` last).

    retain ──▶ tree (memory) ──▶ changed ── batch is sealed: contribute ──▶ one put or delete per changed topic

Invariants: what a batch holds of a topic is its last state, however often it changed meanwhile; a cleared topic stays
in the tree, marked so, until its deletion is in a batch; `messages` and `size_bytes` count what `match` may find.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint64_t

from broker.core.clock cimport Clock, Timer
from broker.core.topic_tree cimport TopicTree
from storage.interface cimport Contributor, Store
from storage.records cimport message_t


cdef class Retained:
    """What one topic retains."""
    cdef message_t* message             # owns one reference
    cdef readonly int64_t expires_at_ms     # 0: never
    cdef int64_t watched_ms             # its earliest deadline in the heap; 0: none
    cdef bint is_changed                # since the last batch
    cdef readonly bint is_cleared       # and not yet deleted from the store: nobody gets it

    # The message as it goes to a new subscriber, flagged MESSAGE_RETAINED, with the time it still has [MQTT-3.3.2-6].
    # The caller owns a reference.
    cdef message_t* delivery(self, int64_t now_ms) except NULL


cdef class RetainedMessages(Contributor):
    cdef Store store
    cdef Clock clock
    cdef str vhost_name
    cdef TopicTree tree
    cdef list changed                   # Retained that the next batch writes
    cdef list deadlines                 # heap of (ms, number, Retained)
    cdef Timer expiry_timer
    cdef uint64_t deadlines_given
    cdef public uint64_t messages_max
    cdef public uint64_t bytes_max
    cdef public uint64_t message_bytes_max
    cdef public bint is_full            # the broker's memory: what makes it more is refused
    cdef readonly uint64_t messages     # retained now
    cdef readonly uint64_t size_bytes   # … and what they take
    cdef readonly uint64_t stored       # set, the first time or again
    cdef readonly uint64_t cleared      # by an empty message [MQTT-3.3.1-6]
    cdef readonly uint64_t expired
    cdef readonly uint64_t refused      # at a limit
    cdef readonly uint64_t delivered    # to new subscribers: `match` found them

    # Keeps the message for its topic instead of the last one [MQTT-3.3.1-5]; an empty body clears it [MQTT-3.3.1-6].
    # STORED: it is with the open batch, or on its way to the disk. REFUSED: a limit; what was there before stays.
    cdef int retain(self, message_t* message) except -1
    # Every Retained whose topic the filter matches.
    cdef list match(self, const char* topic_filter, size_t size)
    cdef int clear(self, Retained retained) except -1
    cdef int change(self, Retained retained) except -1
    cdef int watch(self, Retained retained) except -1
    cdef int set_timer(self) except -1
    cdef bytes store_key(self, message_t* message)
    cdef int restore_value(self, bytes value) except -1
