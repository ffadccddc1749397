"""Taking messages out of a queue by hand: see browsing.pxd."""

from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.exchange import accept_all
from broker.core.message cimport message_view
from broker.core.queue cimport COMPLETE, DISCARD, REQUEUE, Queue
from broker.core.target cimport REFUSED, ROUTED

OUTCOMES = {
    "ack_requeue_true": REQUEUE,
    "reject_requeue_true": REQUEUE,
    "ack_requeue_false": COMPLETE,
    "reject_requeue_false": DISCARD,
}


cdef class Taken:
    """One message that was taken."""

    def __init__(self, message, bint redelivered, left):
        self.message = message
        self.redelivered = redelivered
        self.left = left


def take(Queue queue, int count, str mode, bytes_max) -> list:
    """Up to `count` messages from the front, of `bytes_max` bytes or a little more, settled as `mode` says."""
    cdef entry_t entry
    cdef int outcome = OUTCOMES[mode]
    cdef list held = []
    cdef list taken = []
    cdef Held each
    size = 0
    while len(taken) < count and (not taken or size < bytes_max):
        if not queue.get(&entry, False):
            break
        each = Held()
        each.entry = entry
        held.append(each)
        message = message_view(entry.message)
        size += message.body_size
        taken.append(Taken(message, bool(entry.flags & ENTRY_REDELIVERED), queue.ready_count))
    # The last first: each returns to its place at the front.
    for each in reversed(held):
        queue.settle(&each.entry, outcome)
    if held:
        queue.wake()
    return taken


def move(Queue source, Queue destination, int count, bytes_max) -> int:
    """Up to `count` messages from the front of one queue to the end of another, of `bytes_max` bytes or a little more.

    Each arrives and leaves with the same batch: a crash leaves it in one of them. One that the destination refuses
    stays where it was, and ends it. Returns how many were moved.
    """
    cdef entry_t entry
    cdef int moved = 0
    cdef int outcome
    size = 0
    while moved < count and size < bytes_max:
        if not source.get(&entry, False):
            break
        message = message_view(entry.message)
        size += message.body_size
        outcome = accept_all(message.again(message.routing_key), [destination])
        if outcome & REFUSED or not outcome & ROUTED:
            source.settle(&entry, REQUEUE)
            break
        source.settle(&entry, COMPLETE)
        moved += 1
    source.wake()
    return moved


cdef class Held:
    """An entry between `get` and `settle`."""
