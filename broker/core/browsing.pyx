"""Taking messages out of a queue by hand: see browsing.pxd."""

from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.message cimport message_view
from broker.core.queue cimport COMPLETE, DISCARD, REQUEUE, Queue

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


cdef class Held:
    """An entry between `get` and `settle`."""
