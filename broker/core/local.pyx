"""Both ends of the core for Python: see local.pxd."""

import logging

from libc.stdint cimport uint32_t, uint64_t

from broker.core.entry cimport ENTRY_REDELIVERED, entry_t
from broker.core.exchange cimport Exchange
from broker.core.message cimport Message, message_view
from broker.core.queue cimport COMPLETE as C_COMPLETE
from broker.core.queue cimport DISCARD as C_DISCARD
from broker.core.queue cimport REQUEUE as C_REQUEUE
from broker.core.queue cimport Queue
from broker.core.target cimport REFUSED as C_REFUSED
from broker.core.target cimport ROUTED as C_ROUTED
from broker.core.target cimport STORED as C_STORED
from storage.interface cimport Store
from storage.records cimport MESSAGE_RETAIN, message_ref, message_unref

COMPLETE, REQUEUE, DISCARD = C_COMPLETE, C_REQUEUE, C_DISCARD
ROUTED, STORED, REFUSED = C_ROUTED, C_STORED, C_REFUSED

log = logging.getLogger("hubbub.core")


cdef class LocalPublisher(Publisher):
    """Publishes for somebody in this process."""

    def __init__(self, Store store not None, uint64_t connection, on_accepted, on_refused):
        self.store = store
        self.connection = connection
        self.on_accepted = on_accepted
        self.on_refused = on_refused

    def route(self, Exchange exchange not None, Message message not None, *, bint mandatory=False, bint retain=False):
        """Publish a message: ROUTED, STORED, REFUSED or'ed; 0 where nobody took it (`mandatory`: a returned one)."""
        cdef int outcome
        message.message.publisher = self.connection
        if retain:
            message.message.flags |= MESSAGE_RETAIN
        outcome = exchange.publish(message.message)
        if outcome == 0 and mandatory:
            exchange.returned += 1
        return outcome

    def number(self, int outcome):
        """Give what was routed the next number, and tell when it is accepted: now, where nothing is to be awaited."""
        self.count_published(outcome)
        self.tell_accepted()

    def close(self):
        """Nobody listens any more."""
        self.forget_awaited()
        self.on_accepted = self.on_refused = None

    cdef int accepted(self, uint64_t number) except -1:
        if self.on_accepted is not None:
            try:
                self.on_accepted(number)
            except Exception:
                log.exception("telling of an acceptance failed")
        return 0

    cdef int refused(self, uint64_t first, uint64_t last) except -1:
        if self.on_refused is not None:
            try:
                self.on_refused(first, last)
            except Exception:
                log.exception("telling of a refusal failed")
        return 0


cdef class LocalConsumer(Consumer):
    """Consumes one queue for somebody in this process. `Queue.add_consumer` starts it."""

    def __init__(self, Queue queue not None, str tag, *, bint no_ack, bint exclusive, bint no_local, int priority,
                 uint32_t credit, uint64_t connection, arguments, on_delivery, on_cancelled):
        self.queue = queue
        self.tag = tag
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.no_local = no_local
        self.priority = priority
        self.credit = credit
        self.publisher = connection
        self.arguments = dict(arguments)
        self.on_delivery = on_delivery
        self.on_cancelled = on_cancelled

    cdef bint has_credit(self) noexcept:
        return not self.stopped and not self.held and (self.no_ack or self.credit == 0 or self.unacked < self.credit)

    cdef int deliver(self, entry_t* entry) except -1:
        cdef Delivery delivery = Delivery.__new__(Delivery)
        delivery.consumer = self
        delivery.entry = entry[0]
        if self.no_ack:
            # The queue settles it, and gives its reference away.
            message_ref(entry.message)
            delivery.settled = True
        else:
            self.unacked += 1
        try:
            self.on_delivery(delivery)
        except Exception:
            log.exception("a delivery of queue '%s' failed", self.queue.name)
        return 0

    def hold(self):
        """No deliveries until `go_on`."""
        self.held = True

    def go_on(self):
        """Deliveries again."""
        if self.held:
            self.held = False
            if not self.stopped and not self.queue.deleted:
                self.queue.wake()

    def wake(self):
        """Something was settled: the queue looks for whom its next messages are."""
        if not self.queue.deleted:
            self.queue.wake()

    def stop(self):
        """No more deliveries; those that are out stay to be settled."""
        if not self.stopped:
            self.stopped = True
            self.queue.remove_consumer(self)

    cpdef cancelled_by_queue(self):
        """The queue is gone."""
        self.stopped = True
        try:
            self.on_cancelled()
        except Exception:
            log.exception("telling that queue '%s' is gone failed", self.queue.name)


cdef class Delivery:
    """One message in the hands of a consumer, which settles it."""

    def __dealloc__(self):
        if self.entry.message != NULL:
            message_unref(self.entry.message)

    @property
    def message(self):
        """The message."""
        assert self.entry.message != NULL, "settled"
        return message_view(self.entry.message)

    @property
    def redelivered(self):
        """Whether a consumer may have seen it before."""
        return self.entry.flags & ENTRY_REDELIVERED != 0

    @property
    def delivery_count(self):
        """How often a consumer gave it back."""
        return self.entry.delivery_count

    def settle(self, int outcome, *, bint wake=True):
        """COMPLETE, REQUEUE or DISCARD. `wake`: the queue looks for whom its next messages are; once after a series."""
        cdef entry_t entry = self.entry
        assert not self.settled, "a delivery is settled once"
        self.settled = True
        self.entry.message = NULL                       # the queue takes the reference
        self.consumer.unacked -= 1
        self.consumer.queue.settle(&entry, outcome)
        if wake:
            self.consumer.queue.wake()
