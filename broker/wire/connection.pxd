"""The one interface between a socket and a dialect.

An edge (`broker.net`, `broker.websocket`) calls these; a dialect (`broker.amqp`, `broker.mqtt`) implements them.
"""

from broker.wire.output cimport Output

cdef class Connection:
    cdef readonly unsigned long long number        # unique in this process; the first is 1
    cdef readonly Output output                    # set by the edge before `opened`; closed, but there, after `lost`
    cdef public str peer                           # "127.0.0.1:5000", for people
    cdef public str listener                       # the listener's own address
    cdef public object tls                         # None, or the edge's ssl object (peer certificate, cipher)

    # The transport is there; the dialect may write. Called once.
    cpdef opened(self)
    # Consumes whole units from the front of data[0:size] and returns how many bytes it took; the edge keeps the rest
    # and puts it in front of the next read. The pointer is valid only during the call; until it returns, the bytes are
    # the connection's, which may write over them: the edge keeps data[taken:size] as it is then. A dialect that has
    # been told to stop (paused by itself, or closing) takes less; after `output.resume_reading()` the rest comes again.
    cdef Py_ssize_t data_received(self, const char* data, Py_ssize_t size) except -1
    # The next bytes from the socket may go straight to *where (a large body): how many, or 0. Then `bytes_stored` tells
    # how many came. Asked only when everything received so far was consumed.
    cdef size_t next_bytes(self, char** where) noexcept
    cdef void bytes_stored(self, size_t size) noexcept
    # The output was full and has drained: deliveries may go on.
    cdef void writable(self) noexcept
    # The edge is about to send what `output` holds: a connection that wraps another's output (WebSocket frames) adds it
    # now. True: there is more than fits, so call `writable` when there is room. Asked only while output is scheduled.
    cdef bint flushing(self) noexcept
    # The operator stops the broker: say so in the dialect's words, then close.
    cpdef shut_down(self, str text)
    # The transport is gone (peer closed, error, abort). Called once; nothing may be written any more.
    cpdef lost(self, str reason)


cdef class PythonConnection(Connection):
    """A connection whose dialect is plain Python: for cold dialects and tests."""
