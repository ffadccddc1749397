"""What a connection has to say and the socket has not yet taken.

Owns the bytes between a dialect and an edge. A dialect reserves room, writes, and commits; an edge (`broker.net`)
subclasses Output, takes the bytes once per turn of the loop and sends them. Memory is pooled: an idle connection owns
none.

Invariants: `start <= end <= capacity`; `data` is NULL exactly when nothing is pending; a buffer grows only
while what is pending does not exceed `bytes_max`.
"""

from libc.stddef cimport size_t

from broker.wire.buffers cimport BufferPool

cdef class Output:
    cdef BufferPool pool
    cdef char* data
    cdef size_t start               # first byte not yet sent
    cdef size_t end                 # one past the last byte written
    cdef size_t capacity
    cdef size_t high_bytes          # above this the connection is full: no more deliveries
    cdef size_t bytes_max           # a peer that lets more than this pile up is cut off
    cdef size_t usual_bytes         # how large the buffer was when it was last given back: what to take next time
    cdef bint scheduled             # the edge knows that there is something to send
    cdef bint closing               # close once everything is sent; nothing more is taken
    cdef bint closed
    cdef readonly unsigned long long bytes_sent
    cdef readonly unsigned long long bytes_received

    # Room for `size` more bytes at the end; the caller writes there and then calls `written`. NULL: no memory,
    # closing or closed; the caller then drops what it wanted to say.
    cdef char* reserve(self, size_t size) noexcept
    cdef bint make_room(self, size_t size) noexcept
    cdef void written(self, size_t size) noexcept
    cdef void write(self, const char* data, size_t size) noexcept
    cdef void schedule(self) noexcept              # the edge overrides this: flush me at the end of this turn
    cdef void release(self) noexcept               # everything is sent (or lost): the buffer goes back to the pool

    cpdef close(self)                              # flush, then close the socket
    cpdef abort(self)                              # close now; what is pending is lost
    cpdef pause_reading(self)
    cpdef resume_reading(self)                     # also feeds what was left unconsumed, on the next turn
    # From now on the peer is `connection`'s, a Connection that is not yet opened: whoever looked at the first bytes has
    # found out what is spoken. What was not consumed is fed to it; the former one is not told that it is lost.
    cpdef hand_over(self, object connection)
    cpdef bytes take(self)                         # all that is pending, taken out: for edges without a socket


cdef inline bint output_full(Output output) noexcept:
    return output.closed or output.closing or output.end - output.start > output.high_bytes


# The peer asks on and does not read the answers: whoever gives them must not give more.
cdef inline bint output_neglected(Output output) noexcept:
    return output.end - output.start > output.high_bytes * 4


# `reserve` and `written` for the hot path: no call where the buffer has room and the edge knows of it.
cdef inline char* output_room(Output output, size_t size) noexcept:
    if output.data != NULL and output.end + size <= output.capacity and not output.closing and not output.closed:
        return output.data + output.end
    return output.reserve(size)


cdef inline void output_written(Output output, size_t size) noexcept:
    if output.scheduled:
        output.end += size
    else:
        output.written(size)
