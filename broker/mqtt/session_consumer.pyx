"""A session at a queue: see session_consumer.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport PyObject
from libc.stdint cimport uint16_t, uint64_t

from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.message cimport (
    copy_bytes, message_body, message_exchange, message_new, message_properties, message_routing_key, message_t,
    message_unref,
)
from broker.core.publisher cimport Waiter
from broker.core.queue cimport COMPLETE, DISCARD, Queue
from broker.core.target cimport Consumer
from broker.mqtt.inflight cimport SENT_QOS1, SENT_QOS2, WAITING, Inflight, place_t
from broker.mqtt.naming cimport names_topic
from broker.mqtt.session cimport OWN_IDS, Match, Session, is_uniform, message_qos, uniform_qos
from broker.mqtt.under_way cimport SHARED_ID_FIRST

cdef enum:
    POSITIONS_AHEAD = 8192          # are written down before they are used

cdef extern from "Python.h":
    Py_ssize_t set_size "PySet_GET_SIZE"(PyObject* of) noexcept


cdef class SessionConsumer(Consumer):
    """A session at a queue."""

    def __init__(self, Session session, Queue queue, Match options=None, bytes other_key=None):
        self.session = session
        self.queue = queue
        self.options = options
        self.other_key = other_key
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
        if (options != <PyObject*>None or set_size(<PyObject*>(<Queue>(<PyObject*>self.queue)).bindings)) \
                and not names_topic(message_routing_key(message), message.routing_key_size):
            return deliver_unnameable(self, entry)
        if options == <PyObject*>None:
            if (<Session>session).option_count == 0 and not (<Session>session).is_restricted \
                    and is_uniform(<Session>session):
                qos = min(qos, uniform_qos(<Session>session))
            else:
                found = (<Session>session).options_for(message_routing_key(message)[:message.routing_key_size])
                if found is None:
                    (<Session>session).counters.dropped_unauthorized += 1
                    return self.queue.settle(entry, DISCARD)
                options = <PyObject*>found
        if options != <PyObject*>None:
            qos = min(qos, (<Match>options).qos)
        return deliver_entry(self, entry, message, qos, <Match>options)

    cpdef cancelled_by_queue(self):
        """An operator has deleted the queue: what waited is gone; another is made when one is needed."""
        self.session.on_queue_gone(self)


cdef class SentWhenStored(Waiter):
    """Sends what waited for the disk: a client that has a packet identifier of QoS 2 must find the same message under
    it again, whatever happens to the broker."""
    cdef Session session

    cdef void on_committed(self, uint64_t batch) noexcept:
        self.send_waiting()

    cdef void on_refused(self, uint64_t batch) noexcept:
        pass                        # it stays in flight, unsent, and is given back with the connection

    def send_waiting(self):
        """What was taken into flight is on disk: it goes out, in order."""
        cdef Session session = self.session
        cdef Inflight inflight = session.inflight
        cdef size_t index
        cdef place_t* place
        cdef Match options
        cdef list too_large = []
        if self is not session.waiting or inflight is None or session.output is None:
            return
        session.waiting = None
        for index in range(inflight.used):
            place = &inflight.places[(inflight.head + index) & (inflight.capacity - 1)]
            if place.state != WAITING:
                continue
            place.state = SENT_QOS2
            options = None
            if session.option_count:
                options = session.options_for(
                    message_routing_key(place.entry.message)[:place.entry.message.routing_key_size])
            if not session.send(place.entry.message, 2, place.packet_id, place.entry.flags & ENTRY_REDELIVERED,
                                options, place.entry.expires_at_ms):
                session.counters.dropped_too_large += 1
                too_large.append(place.packet_id)
                inflight.settle(place, DISCARD)
        for packet_id in too_large:
            inflight.remove(inflight.find(packet_id))
        if too_large:
            session.wake_all()


cdef int wait_for_store(Session session) except -1:
    cdef SentWhenStored waiting
    if session.waiting is None:
        waiting = SentWhenStored.__new__(SentWhenStored)
        waiting.session = session
        session.waiting = waiting
    return session.store.wait(session.waiting)


cdef int deliver_unnameable(SessionConsumer consumer, entry_t* entry) except -1:
    """A message whose routing key is no topic name: of an AMQP queue it is told as the queue's; else nobody can be."""
    cdef message_t* message
    cdef bytes key = consumer.other_key
    cdef int qos = min(message_qos(entry.message), consumer.options.qos) if consumer.options is not None else 0
    if key is None:
        consumer.session.counters.dropped_unnameable += 1
        return consumer.queue.settle(entry, DISCARD)
    message = renamed(entry.message, key)
    try:
        return deliver_entry(consumer, entry, message, qos, consumer.options)
    finally:
        message_unref(message)


cdef message_t* renamed(message_t* message, bytes key) except NULL:
    """The same message with another routing key."""
    cdef message_t* copy = message_new(
        message_exchange(message), message.exchange_size, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key),
        message_properties(message), message.properties_size, message.body_size)
    if copy == NULL:
        raise MemoryError
    copy_bytes(message_body(copy), message_body(message), message.body_size)
    copy.flags = message.flags
    copy.priority = message.priority
    copy.expiration_ms = message.expiration_ms
    copy.publisher = message.publisher
    return copy


cdef int deliver_entry(SessionConsumer consumer, entry_t* entry, message_t* message, int qos, Match options) except -1:
    """Takes over an entry that a queue hands out. `message`: what the client is told of it."""
    cdef Session session = consumer.session
    cdef Queue queue = consumer.queue
    cdef Inflight inflight
    cdef uint16_t packet_id
    cdef bint is_shared = consumer.options is not None
    if qos == 0:
        if not session.send(message, 0, 0, False, options, entry.expires_at_ms):
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
        if session.is_stored and entry.position + POSITIONS_AHEAD // 2 > session.position_ceiling:
            session.position_ceiling = entry.position + POSITIONS_AHEAD
            session.state_changed()
        if inflight.count and inflight.find(packet_id) != NULL:     # 32767 later, and still not acknowledged
            if session.shared_inflight is None:
                session.shared_inflight = Inflight()
            inflight = session.shared_inflight
            packet_id = next_shared_id(session)
    if qos == 2 and session.is_stored and not is_shared and packet_id <= OWN_IDS:
        wait_for_store(session)
        return inflight.hold(entry, queue, packet_id, WAITING)
    if not session.send(message, qos, packet_id, entry.flags & ENTRY_REDELIVERED, options, entry.expires_at_ms):
        session.counters.dropped_too_large += 1
        return queue.settle(entry, DISCARD)
    return inflight.hold(entry, queue, packet_id, SENT_QOS1 if qos == 1 else SENT_QOS2)


cdef uint16_t next_shared_id(Session session) noexcept:
    """32768 … 65535, in turn; there are more of them than may be in flight."""
    while True:
        session.shared_id = <uint16_t>(session.shared_id + 1) | SHARED_ID_FIRST
        if session.shared_inflight.find(session.shared_id) == NULL:
            return session.shared_id
