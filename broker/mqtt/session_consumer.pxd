"""A session at a queue, its own or one that it shares: credit, and PUBLISH with a packet identifier."""

from broker.core.queue cimport Queue
from broker.core.target cimport Consumer
from broker.mqtt.session cimport Match, Session

cdef class SessionConsumer(Consumer):
    cdef readonly Session session
    cdef readonly Queue queue
    cdef readonly Match options                 # of a shared subscription; None: the own queue's differ by topic
    cdef readonly bytes other_key               # instead of what is no topic name: $queue/NAME, swapped; or None
