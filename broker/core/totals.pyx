"""The ledgers of many queues in one sum, in C: a scrape of a hundred thousand queues must not stop the messages."""

from libc.stdint cimport uint64_t

from broker.core.exchange cimport SIZE_BOUNDS, Exchange
from broker.core.ledger cimport ledger_t, ledger_unaccounted
from broker.core.overflow cimport total_bytes
from broker.core.queue cimport Queue
from broker.core.ready cimport ReadyList, run_bytes

cdef enum:
    WORDS = sizeof(ledger_t) // sizeof(uint64_t)


cdef class QueueTotals:
    """What is in the queues of a vhost or a broker now, and what their ledgers sum up to."""

    def __init__(self, queues):
        """Sum up `queues`: an iterable of Queue."""
        cdef Queue queue
        cdef uint64_t* sums = <uint64_t*>&self.ledger
        cdef uint64_t* of_sessions = <uint64_t*>&self.sessions
        cdef uint64_t* words
        cdef int index
        cdef ReadyList level
        for queue in queues:
            words = <uint64_t*>&queue.ledger
            for index in range(WORDS):
                sums[index] += words[index]
            if queue.serves_sessions:
                for index in range(WORDS):
                    of_sessions[index] += words[index]
            self.queues += 1
            self.ready += queue.ready_count
            self.unacked += queue.unacked_count
            self.unacked_bytes += queue.unacked_bytes
            self.ready_bytes += total_bytes(queue)
            self.consumers += queue.consumers.count
            self.kept_up += queue.consumers.count != 0 and queue.ready_count == 0
            for level in queue.levels:
                self.ready_in_memory += level.front.count + level.tail.count
                self.memory_bytes += level.memory_bytes
                self.paged_out_bytes += run_bytes(level)

    @property
    def counts(self) -> dict:
        """The sum of the ledgers (ledger.pxd says what each word counts), and `unaccounted`, which is 0."""
        counts = self.ledger
        return {**counts, "unaccounted": ledger_unaccounted(&self.ledger, self.ready, self.unacked)}

    @property
    def session_counts(self) -> dict:
        """`counts` of the queues of MQTT sessions and shared subscriptions, which are in `counts`, too."""
        return self.sessions


def memory_bytes(queues) -> int:
    """What the messages of many queues take in memory: those that are ready there, and those not yet settled."""
    cdef Queue queue
    cdef ReadyList level
    cdef uint64_t size = 0
    for queue in queues:
        size += queue.unacked_bytes
        if queue.ready_count:
            for level in queue.levels:
                size += level.held_bytes()
    return size


def exchange_totals(exchanges) -> dict:
    """`Exchange.counts` of many exchanges in one sum."""
    cdef Exchange exchange
    cdef uint64_t published = 0, routed = 0, unroutable = 0, returned = 0
    for exchange in exchanges:
        published += exchange.published_in
        routed += exchange.published_out
        unroutable += exchange.unroutable
        returned += exchange.returned
    return {"published": published, "routed": routed, "unroutable": unroutable, "returned": returned}


def size_totals(exchanges) -> list:
    """`Exchange.size_counts` of many exchanges in one sum."""
    cdef Exchange exchange
    cdef uint64_t larger[SIZE_BOUNDS]
    cdef uint64_t published = 0, size = 0
    cdef int index
    for index in range(SIZE_BOUNDS):
        larger[index] = 0
    for exchange in exchanges:
        published += exchange.published_in
        size += exchange.published_bytes
        for index in range(SIZE_BOUNDS):
            larger[index] += exchange.larger[index]
            published -= exchange.larger[index]
    return [published, *[larger[index] for index in range(SIZE_BOUNDS)], size]
