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
    cdef readonly uint64_t ready_in_memory      # messages; the others' bodies are on disk alone
    cdef readonly uint64_t memory_bytes         # what these take, and more than their bodies
    cdef readonly uint64_t paged_out_bytes      # bodies of the ready messages that are on disk alone
    cdef readonly uint64_t kept_up              # queues with consumers for whom nothing waits
    cdef ledger_t ledger
    cdef ledger_t sessions                      # … of these, the queues of MQTT sessions and shared subscriptions
