"""The account of a queue (law 4): what came in equals what went out plus what is there.

    accepted + restored = acknowledged + delivered_no_ack + expired + rejected + dropped_* + purged + ready + unacked

Counters live where the event happens and cost one addition. Dead-lettering is not a way out of its own: a dead-lettered
message is counted by its reason (expired, rejected, dropped_maxlen, dropped_delivery_limit) and again in
`dead_lettered`.
"""

from libc.stdint cimport int64_t, uint64_t

ctypedef struct ledger_t:
    uint64_t accepted                   # put into the queue by publish or dead-lettering
    uint64_t restored                   # found in the store at start-up
    uint64_t delivered                  # to consumers that acknowledge, redeliveries included
    uint64_t delivered_no_ack           # to consumers that do not: done with when sent
    uint64_t got                        # basic.get, to be acknowledged
    uint64_t got_no_ack                 # basic.get, done with when sent
    uint64_t get_empty
    uint64_t redelivered                # of delivered, delivered_no_ack and the gets: for the second time or more
    uint64_t acknowledged
    uint64_t requeued
    uint64_t expired
    uint64_t rejected                   # basic.reject or nack without requeue
    uint64_t dropped_maxlen             # the oldest gave way (drop-head)
    uint64_t dropped_tail               # the newest was not kept (drop-tail)
    uint64_t dropped_offline            # transient, and nobody to take it (`drops_transient_offline`)
    uint64_t dropped_delivery_limit
    uint64_t dropped_no_local           # only its own publisher could have got it
    uint64_t refused_maxlen             # never accepted (reject-publish): not part of the sum
    uint64_t dead_lettered
    uint64_t purged


cdef inline int64_t ledger_unaccounted(ledger_t* ledger, uint64_t ready, uint64_t unacked) noexcept:
    """Messages that came in and are nowhere. Anything but 0 is a bug."""
    return <int64_t>(ledger.accepted + ledger.restored - ledger.acknowledged - ledger.delivered_no_ack
                     - ledger.got_no_ack - ledger.expired - ledger.rejected - ledger.dropped_maxlen
                     - ledger.dropped_tail - ledger.dropped_offline - ledger.dropped_delivery_limit
                     - ledger.dropped_no_local - ledger.purged - ready - unacked)
