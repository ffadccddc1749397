"""Plain TCP on Linux: one epoll set, one shared read buffer, one turn."""

from libc.stdint cimport uint32_t, uint64_t
from libc.stddef cimport size_t

from broker.net.turn cimport Link, Source, Turn
from broker.wire.buffers cimport BufferPool
from broker.wire.connection cimport Connection


cdef class Poller(Source):
    cdef Turn turn
    cdef object loop
    cdef BufferPool pool
    cdef int epoll_fd
    cdef char* buffer                                   # what the sockets are read into, shared by all
    cdef readonly size_t read_bytes_max                 # its size
    cdef size_t high_bytes
    cdef size_t bytes_max
    cdef int accepts_max                                # per listener and turn
    cdef double linger_s                                # how long a peer may take for our last words
    cdef double accept_pause_s                          # how long accepting stops when descriptors run out
    cdef public int connections_max
    cdef list links                                     # by descriptor: SocketLink or None
    cdef dict acceptors                                 # (listener, its name, factory) by descriptor
    cdef object lingering                               # deque of (deadline, SocketLink), in order
    cdef bint lingering_ends                            # the loop's timer for the first of them is set
    cdef readonly bint accepting                       # False: out of descriptors, for `accept_pause_s`
    cdef readonly int connection_count
    cdef readonly unsigned long long accepted_count
    cdef readonly unsigned long long refused_count      # over connections_max
    cdef readonly unsigned long long accept_pause_count  # out of descriptors
    cdef int add(self, int fd, uint64_t about, uint32_t events) except -1
    cdef void accept(self, int listening_fd) noexcept
    cdef int adopt(self, int fd, str peer, str listener, Connection connection) except -1
    cdef void read(self, SocketLink link, bint is_last) noexcept
    cdef void arm(self, SocketLink link, uint32_t events) noexcept
    cdef void linger(self, SocketLink link) noexcept
    cdef void forget_gone(self) noexcept
    cdef void pause_accepting(self, int error) noexcept


cdef class SocketLink(Link):
    cdef Poller poller
    cdef int fd                                         # -1: given back
    cdef uint32_t events                                # what epoll watches for
    cdef bint half_closed                               # all is said; what still comes is thrown away
    cdef bint heard_all                                 # the peer has said all as well, and it was read
    cdef bint lingers                                   # in Poller.lingering
    cdef void half_close(self) noexcept
    cdef void lose(self, str reason) noexcept
