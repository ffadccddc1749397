"""One turn of the loop, and what an edge keeps of one connection."""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t

from broker.wire.buffers cimport BufferPool
from broker.wire.connection cimport Connection
from broker.wire.output cimport Output


cdef class TurnHooks:
    """What the composition root wants done around a turn. Subclassed by it; the edge knows no more than this."""
    cdef void begins(self) noexcept                     # before anything is read: the time
    # Everything is read, nothing is sent: commit. `notified`: a watched descriptor was readable.
    cdef void ends(self, bint notified) noexcept


cdef class Source:
    """Where a turn reads from."""
    cdef bint poll(self) noexcept                       # reads; True when a watched descriptor was readable


cdef class Turn:
    cdef object loop
    cdef TurnHooks hooks
    cdef Source source                                  # None: there are only streams
    cdef list scheduled                                 # of Link: has something to send, or to close
    cdef list resumed                                   # of Link: reads again, and has kept bytes
    cdef list ended                                     # of Link: its connection must be told that it is lost
    cdef int rounds_max
    cdef bint running
    cdef bint woken                                     # a turn is already asked for
    cdef readonly unsigned long long count
    cdef readonly size_t kept_bytes                     # received from all links, and not yet consumed
    cdef public int64_t stall_us                        # a part that takes longer is told to `on_stall`; 0: none is
    cdef public object on_stall                         # (part, Connection or None, seconds)
    cdef int64_t lap_us                                 # when the part began
    cpdef wake(self)
    cpdef enter(self)
    cdef void schedule(self, Link link) noexcept
    cdef void end(self, Link link, str reason) noexcept
    cdef void tell_ended(self) noexcept
    cdef void flush(self) noexcept


cdef class Link(Output):
    cdef Turn turn
    cdef readonly Connection connection                 # None once it was told that it is lost
    cdef char* kept                                     # received, not yet consumed
    cdef size_t kept_size
    cdef size_t read_bytes_max                          # the read buffer's size: no unit may be larger
    cdef readonly bint paused                           # by the dialect
    cdef bint was_full                                  # deliveries stopped; tell the connection when they may go on
    cdef str reason                                     # why it ended
    cdef void open(self, Connection connection, str peer, str listener) noexcept
    cdef void feed(self, const char* data, size_t size) noexcept
    cdef void keep(self, const char* data, size_t size) noexcept
    cdef void feed_kept(self) noexcept
    cdef void drop_kept(self) noexcept
    cdef void drained(self) noexcept                    # some or all was sent: deliveries may go on
    cdef void fail(self, str reason) noexcept           # the transport is gone
    # The edge implements these three.
    cdef void flush(self) noexcept                      # send what is pending; close when closing
    cdef void set_reading(self, bint wanted) noexcept
    cdef void dispose(self) noexcept                    # the connection was told: give the transport back
