"""Whom a full queue turns away: see overflow.pxd."""

from broker.core.entry cimport entry_t
from broker.core.expiry cimport drop_expired
from broker.core.message cimport message_view
from broker.core.queue cimport Queue
from broker.core.ready cimport ReadyList
from broker.core.sieve cimport ENQUEUED, TURNED_AWAY
from broker.core.target cimport REFUSED, ROUTED
from storage.records cimport MESSAGE_PERSISTENT, message_t


cdef int turn_away(Queue queue, message_t* message) except -1:
    cdef int outcome = 0
    cdef str reason = None
    if queue.drops_transient_offline and not message.flags & MESSAGE_PERSISTENT and not queue.consumers.any_may_take(
            message):
        queue.ledger.accepted += 1
        queue.ledger.dropped_offline += 1
        outcome, reason = ROUTED, "offline"
    elif queue.is_limited and queue.overflow != OVERFLOW_DROP_HEAD and is_full(queue, message):
        reason = "maxlen"
        if queue.overflow != OVERFLOW_REJECT_PUBLISH and queue.settings.dead_letter_exchange is not None:
            queue.ledger.dead_lettered += 1
            queue.vhost.dead_letters.publish(queue, message_view(message), reason)
        if queue.overflow == OVERFLOW_DROP_TAIL:
            queue.ledger.accepted += 1
            queue.ledger.dropped_tail += 1
            outcome = ROUTED
        else:
            queue.ledger.refused_maxlen += 1
            outcome = REFUSED
    if queue.watch is not None and queue.watch.lets(
            TURNED_AWAY if outcome else ENQUEUED, message, queue.name_bytes, queue.store_id, 0, None, None):
        if outcome:
            queue.watch.turned_away(queue, message_view(message), reason, outcome == REFUSED)
        else:
            queue.watch.enqueued(queue, message_view(message), queue.next_position)
    return outcome


cdef int drop_overflow(Queue queue) except -1:
    cdef ReadyList level
    cdef entry_t entry
    if queue.may_expire and is_over(queue, 0, 0):
        drop_expired(queue)                             # that is the truer reason
    while is_over(queue, 0, 0):
        level = queue.next_level()
        if level is None or level.peek() == NULL:
            break
        level.pop(&entry)
        queue.ready_count -= 1
        queue.ledger.dropped_maxlen += 1
        queue.dead_letter(&entry, "maxlen")
    return 0


cdef bint is_full(Queue queue, message_t* message) except -1:
    """No room for one more, even when what has expired is gone."""
    if not is_over(queue, 1, message.body_size):
        return False
    if queue.may_expire:
        drop_expired(queue)
    return is_over(queue, 1, message.body_size)
