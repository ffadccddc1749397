"""The one queue class of every protocol.

Owns which message is whose: ready, unacked, settled; dead-lettering, the ledger. Knows nothing of frames or sockets.
Order and memory of what is ready are ReadyList's; limits `overflow`'s, deadlines `expiry`'s; bytes on disk the store's.

    accept ──▶ deliver at once to a consumer with credit, or ready ──▶ deliver ──▶ settle(COMPLETE | REQUEUE | DISCARD)

Invariants: `ledger` sums up (law 4); a message that must last has a slot in the store before a consumer sees it,
unless the delivery itself settles it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from broker.core.clock cimport Clock, Timer
from broker.core.consumers cimport Consumers
from broker.core.delivery_counts cimport DeliveryCounts
from broker.core.entry cimport entry_t
from broker.core.ledger cimport ledger_t
from broker.core.ready cimport ReadyList
from broker.core.sieve cimport Sieves
from broker.core.target cimport Consumer, Target
from storage.interface cimport Store
from storage.records cimport message_t

cdef enum:
    COMPLETE = 1
    REQUEUE = 2
    DISCARD = 3


cdef class Queue(Target):
    cdef readonly str name
    cdef readonly bytes name_bytes
    cdef readonly object vhost
    cdef public bint durable                    # its persistent messages outlive a restart; never exclusive
    cdef readonly bint auto_delete
    cdef readonly object exclusive_owner        # the Connection that declared it exclusive, or None
    cdef public dict arguments                  # as declared; what sets it calls `change`
    cdef readonly object settings               # arguments.QueueArguments
    cdef readonly uint32_t store_id             # the first of `1 + max_priority` ids
    cdef readonly bint deleted
    cdef public set bindings                    # of which this queue is the destination

    cdef Store store
    cdef readonly Clock clock
    cdef readonly list levels                   # ReadyList by priority, lowest first
    cdef ReadyList ready                        # the only level, or None where there are priorities
    cdef public uint64_t next_position
    cdef readonly uint64_t delivered_up_to      # the highest position that a consumer has seen
    cdef readonly uint64_t ready_count
    cdef readonly uint64_t unacked_count
    cdef readonly uint64_t unacked_bytes
    cdef ledger_t ledger

    cdef readonly Consumers consumers
    cdef bint nobody_has_credit                 # until a consumer says otherwise
    cdef bint delivering                        # `deliver` is on the stack

    cdef int64_t message_ttl_ms                 # -1: none
    cdef uint64_t length_max                    # of ready messages; 2**64 - 1: none
    cdef uint64_t length_bytes_max
    cdef int overflow                           # OVERFLOW_*
    cdef uint32_t delivery_limit                # 2**32 - 1: none
    cdef bint is_limited                        # a length, or `drops_transient_offline`
    cdef bint is_checked                        # … or a watch: `turn_away` has to be asked
    cdef Sieves watch                           # watch.Watch, told what happens to messages here; None: nobody is
    cdef public bint serves_sessions            # an MQTT session's, or a shared subscription's: counted apart
    cdef public bint drops_transient_offline    # transient ones do not wait for credit; then `change`
    cdef readonly bint counts_deliveries        # x-delivery-count goes with what comes again, and outlives a restart
    cdef readonly DeliveryCounts delivery_counts
    cdef bint may_expire                        # a message with a deadline has been here
    cdef Timer expiry_timer
    cdef object unused                          # unused.UnusedWatch
    cdef public int64_t last_used_ms

    cdef int deliver(self) except -1                              # ready messages to consumers with credit
    cdef int settle(self, entry_t* entry, int outcome) except -1  # then `wake` once after the last
    cdef int wake(self) except -1                                 # a consumer has credit again
    # basic.get, by whom: True if there was one.
    cdef bint get(self, entry_t* entry, bint no_ack, object who=*) except -1
    cdef int put(self, entry_t* entry) except -1
    cdef ReadyList next_level(self)                               # the one to be served next; None: all are empty
    cdef int hand_over(self, Consumer consumer, entry_t* entry) except -1
    cdef int dead_letter(self, entry_t* entry, str reason) except -1
