"""When a queue's messages expire: the nearer of their own expiration and the queue's x-message-ttl.

Owns a queue's one timer, and what is done with a message whose time has come. Looks at heads only: what stands behind
one that lives longer expires when it gets there (RabbitMQ does so, too). Costs nothing where no message has a deadline.
"""

from libc.stdint cimport int64_t

from broker.core.queue cimport Queue
from storage.records cimport message_t

# Expiry is looked at where a message has reached the head (of its priority).
cdef int drop_expired(Queue queue) except -1

# Called where a head may be another: one timer per queue, no later than the earliest deadline of the heads.
cdef int watch_expiry(Queue queue) except -1


cdef inline int64_t deadline(Queue queue, message_t* message) noexcept:
    """When the message expires here: the nearer of its own expiration and the queue's x-message-ttl."""
    cdef int64_t ttl_ms = queue.message_ttl_ms
    if message.expiration_ms >= 0 and (ttl_ms < 0 or message.expiration_ms < ttl_ms):
        ttl_ms = message.expiration_ms
    return queue.clock.now_ms + ttl_ms
