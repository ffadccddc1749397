"""When a queue's messages expire: see expiry.pxd."""

from libc.stdint cimport int64_t

from broker.core.entry cimport entry_t
from broker.core.queue cimport Queue
from broker.core.ready cimport ReadyList


cdef int drop_expired(Queue queue) except -1:
    cdef ReadyList level
    cdef entry_t* head
    cdef entry_t entry
    for level in queue.levels:
        while level.count:
            head = level.peek()
            if head == NULL or not head.expires_at_ms or head.expires_at_ms > queue.clock.now_ms:
                break
            level.pop(&entry)
            queue.ready_count -= 1
            queue.ledger.expired += 1
            queue.dead_letter(&entry, "expired")
    return 0


cdef int watch_expiry(Queue queue) except -1:
    cdef ReadyList level
    cdef entry_t* head
    cdef int64_t due_ms = 0
    if queue.ready_count == 0:
        queue.may_expire = False         # until a message with a deadline comes, or comes back
        return 0
    for level in queue.levels:
        if level.count:
            head = level.peek()
            if head != NULL and head.expires_at_ms and (due_ms == 0 or head.expires_at_ms < due_ms):
                due_ms = head.expires_at_ms
    if due_ms == 0 or (queue.expiry_timer is not None and queue.expiry_timer.due_ms <= due_ms):
        return 0                        # a timer that is early finds out and watches again
    if queue.expiry_timer is not None:
        queue.expiry_timer.cancel()
    queue.expiry_timer = queue.clock.call_at(due_ms, queue.on_expiry_due)
    return 0
