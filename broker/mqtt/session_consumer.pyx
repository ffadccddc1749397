"""A session at a queue: see session_consumer.pxd."""

from cpython.ref cimport PyObject
from libc.stdint cimport uint16_t

from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.message cimport message_routing_key, message_t
from broker.core.queue cimport COMPLETE, DISCARD, Queue
from broker.core.target cimport Consumer
from broker.mqtt.inflight cimport SENT_QOS1, SENT_QOS2, Inflight
from broker.mqtt.session cimport (
    OWN_IDS, SHARED_ID_FIRST, Match, Session, is_uniform, message_qos, uniform_qos,
)


cdef class SessionConsumer(Consumer):
    """A session at a queue."""

    def __init__(self, Session session, Queue queue, Match options=None):
        self.session = session
        self.queue = queue
        self.options = options
        self.tag = session.client_id
        self.arguments = {}
        self.exclusive = options is None        # the session's own queue is nobody else's

    cdef bint has_credit(self) noexcept:
        return (<Session>(<PyObject*>self.session)).has_room()

    cdef int deliver(self, entry_t* entry) except -1:
        cdef PyObject* session = <PyObject*>self.session
        cdef PyObject* options = <PyObject*>self.options
        cdef message_t* message = entry.message
        cdef int qos = message_qos(message)
        cdef Match found
        if options == <PyObject*>None:
            if (<Session>session).option_count == 0 and is_uniform(<Session>session):
                qos = min(qos, uniform_qos(<Session>session))
            else:
                found = (<Session>session).options_for(message_routing_key(message)[:message.routing_key_size])
                options = <PyObject*>found
        if options != <PyObject*>None:
            qos = min(qos, (<Match>options).qos)
        return deliver_entry(self, entry, qos, <Match>options)

    cpdef cancelled_by_queue(self):
        """An operator has deleted the queue: what waited is gone; another is made when one is needed."""
        self.session.on_queue_gone(self)


cdef int deliver_entry(SessionConsumer consumer, entry_t* entry, int qos, Match options) except -1:
    """Takes over an entry that a queue hands out."""
    cdef Session session = consumer.session
    cdef Queue queue = consumer.queue
    cdef Inflight inflight
    cdef uint16_t packet_id
    cdef bint is_shared = consumer.options is not None
    if qos == 0:
        if not session.send(entry.message, 0, 0, False, options, entry.expires_at_ms):
            session.counters.dropped_too_large += 1
        return queue.settle(entry, COMPLETE)
    if is_shared:
        if session.shared_inflight is None:
            session.shared_inflight = Inflight()
        inflight = session.shared_inflight
        packet_id = next_shared_id(session)
    else:
        if session.inflight is None:
            session.inflight = Inflight()
        inflight = session.inflight
        packet_id = <uint16_t>(1 + entry.position % OWN_IDS)
        if inflight.count and inflight.find(packet_id) != NULL:     # 32767 later, and still not acknowledged
            if session.shared_inflight is None:
                session.shared_inflight = Inflight()
            inflight = session.shared_inflight
            packet_id = next_shared_id(session)
    if not session.send(entry.message, qos, packet_id, entry.flags & ENTRY_REDELIVERED, options, entry.expires_at_ms):
        session.counters.dropped_too_large += 1
        return queue.settle(entry, DISCARD)
    return inflight.hold(entry, queue, packet_id, SENT_QOS1 if qos == 1 else SENT_QOS2)


cdef uint16_t next_shared_id(Session session) noexcept:
    """32768 … 65535, in turn; there are more of them than may be in flight."""
    while True:
        session.shared_id = <uint16_t>(session.shared_id + 1) | SHARED_ID_FIRST
        if session.shared_inflight.find(session.shared_id) == NULL:
            return session.shared_id
