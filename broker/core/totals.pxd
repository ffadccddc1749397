"""Sums over queues and exchanges, for whoever watches the broker. Cold, but over very many objects."""

from libc.stdint cimport uint64_t

from broker.core.ledger cimport ledger_t

cdef class QueueTotals:
    cdef readonly uint64_t queues
    cdef readonly uint64_t ready
    cdef readonly uint64_t unacked
    cdef readonly uint64_t unacked_bytes
    cdef readonly uint64_t ready_bytes
    cdef readonly uint64_t consumers
    cdef ledger_t ledger
