"""Which of the things that happen to messages a listener wants to hear of: see sieve.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Size
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport PyObject
from libc.string cimport memcmp

from broker.core.field_table cimport be32
from broker.core.message cimport message_view
from broker.core.queue cimport Queue
from broker.core.route_cache cimport key_matches
from storage.records cimport message_exchange, message_properties, message_routing_key

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    void *memmem(const void *, size_t, const void *, size_t);
    #endif
    """
    char* memmem "(char *)memmem"(const char* data, size_t size, const char* wanted, size_t wanted_size) nogil

cdef enum:
    PUBLISHERS_MAX = 10_000             # whose verdict is remembered
    FIELD_SIZE = 12                     # "\x0btraceparent": a header's name, as it stands in a field table
    CONTEXT_SIZE = 55                   # 00-TRACE-PARENT-FLAGS (W3C Trace Context §3.2.2)
    TRACE_LOW = 19                      # where the lower half of the trace identifier begins …
    TRACE_END = 35
    FLAGS_LOW = 54                      # … and the lower digit of the flags

cdef const char* FIELD = "\x0btraceparent"


cdef class Sieve:
    """Lets everything through."""

    def __init__(self, uint32_t events=EVERYTHING):
        self.events = events

    cdef bint passes(self, uint32_t event, message_t* message, bytes queue, list targets, object taker) except -1:
        return True


cdef class TraceSieve(Sieve):
    """What a trace's filter may choose."""

    cdef bytes exchange
    cdef bytes queue
    cdef bytes binding_key
    cdef object by_publisher            # called with a message: whether its publisher is wanted; None: whoever it is
    cdef object by_taker                # called with who gets it
    cdef object clock
    cdef dict publishers                # verdicts by the number of the connection
    cdef uint64_t publisher             # the last one …
    cdef bint is_wanted
    cdef void* taker                    # … and the last taker, in this turn of the loop
    cdef bint is_taker_wanted
    cdef int64_t looked_ms

    def __init__(self, *, bytes exchange, bytes queue, bytes binding_key, by_publisher=None, by_taker=None, clock=None):
        """None: whatever it is. `by_publisher` and `by_taker` come together, with the clock."""
        Sieve.__init__(self)
        self.exchange = exchange
        self.queue = queue
        self.binding_key = binding_key
        self.by_publisher, self.by_taker, self.clock = by_publisher, by_taker, clock
        self.publishers = {}

    cdef bint passes(self, uint32_t event, message_t* message, bytes queue, list targets, object taker) except -1:
        if self.exchange is not None and not is_same(self.exchange, message_exchange(message), message.exchange_size):
            return False
        if self.binding_key is not None and not key_matches(
                PyBytes_AS_STRING(self.binding_key), PyBytes_GET_SIZE(self.binding_key), message_routing_key(message),
                message.routing_key_size):
            return False
        if self.queue is not None:
            if event == PUBLISHED:
                if not is_among(targets, self.queue):
                    return False
            elif self.queue != queue:
                return False
        if self.by_publisher is None:
            return True
        if event == PUBLISHED:
            return self.wants_publisher(message) or not are_queues(targets)     # others tell what they deliver
        return event == DELIVERED and self.wants_taker(taker)

    cdef bint wants_publisher(self, message_t* message) except -1:
        cdef object verdict
        if message.publisher == 0:
            return True                                 # over HTTP: who it is, the request knows
        if message.publisher == self.publisher:
            return self.is_wanted
        verdict = self.publishers.get(message.publisher)
        if verdict is None:
            if len(self.publishers) >= PUBLISHERS_MAX:
                self.publishers.clear()
            verdict = self.publishers[message.publisher] = bool(self.by_publisher(message_view(message)))
        self.publisher = message.publisher
        self.is_wanted = verdict
        return self.is_wanted

    cdef bint wants_taker(self, object taker) except -1:
        if taker is None:
            return True
        if <void*>taker != self.taker or self.looked_ms != <int64_t>self.clock.now_ms:
            self.taker = <void*>taker                   # compared, never looked into
            self.looked_ms = self.clock.now_ms
            self.is_taker_wanted = bool(self.by_taker(taker))
        return self.is_taker_wanted


cdef class ContextSieve(Sieve):
    """Messages with a `traceparent` that says `sampled`, and of these a share, by trace identifier."""

    cdef uint64_t below                 # the lower half of the identifier, as OpenTelemetry's TraceIdRatioBased has it
    cdef bint all

    def __init__(self, double share):
        Sieve.__init__(self, PUBLISHED | DELIVERED)
        self.all = share >= 1
        self.below = 0 if self.all else <uint64_t>round(share * 2.0 ** 64)

    cdef bint passes(self, uint32_t event, message_t* message, bytes queue, list targets, object taker) except -1:
        cdef const char* at = message_properties(message)
        cdef const char* end = at + message.properties_size
        cdef uint64_t trace = 0
        cdef int index, digit
        if message.properties_size < FIELD_SIZE + 5 + CONTEXT_SIZE:
            return False
        at = memmem(at, message.properties_size, FIELD, FIELD_SIZE)
        if at == NULL or end - at < FIELD_SIZE + 5 + CONTEXT_SIZE:
            return False
        at += FIELD_SIZE + 1
        if be32(<const unsigned char*>at) != CONTEXT_SIZE:
            return False
        at += 4
        digit = hex_digit(at[FLAGS_LOW])
        if digit < 0 or not digit & 1:
            return False
        if self.all:
            return True
        for index in range(TRACE_LOW, TRACE_END):
            digit = hex_digit(at[index])
            if digit < 0:
                return False
            trace = trace << 4 | <uint64_t>digit
        return trace < self.below


cdef class BoundSieve(Sieve):
    """What is published and delivered, while an exchange has bindings, but for what was published to that exchange."""

    cdef bytes exchange
    cdef dict bindings

    def __init__(self, bytes exchange, dict bindings):
        """`bindings`: the exchange's own, which it keeps."""
        Sieve.__init__(self, PUBLISHED | DELIVERED)
        self.exchange = exchange
        self.bindings = bindings

    cdef bint passes(self, uint32_t event, message_t* message, bytes queue, list targets, object taker) except -1:
        return PyDict_Size(self.bindings) != 0 and not is_same(
            self.exchange, message_exchange(message), message.exchange_size)


cdef class Sieves:
    """Those of all listeners of a vhost."""

    def __init__(self):
        self.sieves = []
        self.positions = {}

    def set_sieves(self, list sieves):
        """These count from now on."""
        self.sieves = sieves
        self.events = 0
        for sieve in sieves:
            self.events |= (<Sieve>sieve).events

    cdef bint lets(self, uint32_t event, message_t* message, bytes queue, uint32_t store_id, uint64_t position,
                   list targets, object taker) except -1:
        cdef Py_ssize_t index
        cdef PyObject* sieve                            # borrowed: the list is replaced, never changed
        if message.mark:
            return True                                 # it is followed
        if position and PyDict_Size(self.positions) and (store_id, position) in self.positions:
            return True                                 # … and was, before it went to disk
        if event & self.events:
            for index in range(PyList_GET_SIZE(self.sieves)):
                sieve = PyList_GET_ITEM(self.sieves, index)
                if event & (<Sieve>sieve).events and (<Sieve>sieve).passes(event, message, queue, targets, taker):
                    return True
        return False


cdef inline bint is_same(bytes wanted, const char* name, size_t size) noexcept:
    return <size_t>PyBytes_GET_SIZE(wanted) == size and memcmp(PyBytes_AS_STRING(wanted), name, size) == 0


cdef bint is_among(list targets, bytes name) except -1:
    cdef Py_ssize_t index
    cdef PyObject* target
    for index in range(len(targets)):
        target = PyList_GET_ITEM(targets, index)
        if not isinstance(<object>target, Queue) or (<Queue>target).name_bytes == name:
            return True                                 # what is no queue: who listens knows its name
    return False


cdef bint are_queues(list targets) except -1:
    for target in targets:
        if not isinstance(target, Queue):
            return False
    return True


cdef inline int hex_digit(char c) noexcept:
    if c"0" <= c <= c"9":
        return c - c"0"
    if c"a" <= c <= c"f":
        return c - c"a" + 10
    return -1
