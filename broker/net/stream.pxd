"""Connections over the event loop's own transports: TLS, and systems without epoll."""

from libc.stddef cimport size_t

from broker.net.turn cimport Link, Turn
from broker.wire.buffers cimport BufferPool


cdef class StreamEdge:
    cdef Turn turn
    cdef object loop
    cdef BufferPool pool
    cdef bytearray buffer                               # what the transports read into, shared by all
    cdef char* buffer_start
    cdef object buffer_view
    cdef readonly size_t read_bytes_max
    cdef size_t high_bytes
    cdef size_t bytes_max
    cdef double linger_s
    cdef public int connections_max
    cdef list servers                                   # of the loop: what accepts
    cdef set links                                      # of StreamLink: its transport is there
    cdef readonly unsigned long long accepted_count
    cdef readonly unsigned long long refused_count
    cdef StreamLink make_link(self, object listener, object factory, str peer=*)


cdef class StreamLink(Link):
    cdef StreamEdge edge
    cdef object listener
    cdef object factory
    cdef str peer                                       # "": the transport's
    cdef object transport                               # None before and after
    cdef object linger_timer
    cdef object ended                                   # None, or the future of `adopt`
    cdef size_t read_offset                             # where in the shared buffer the loop reads to
    cdef bint writing_paused                            # the transport has enough for now
    cdef void received(self, size_t size) noexcept
    cdef void linger(self) noexcept
