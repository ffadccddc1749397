"""Plain TCP on Linux: one epoll set, one shared read buffer, one turn.

Owns the sockets and their epoll set, whose own descriptor is watched by the event loop: so one turn reads everything
that is ready, and then sends one block per connection (`turn`). Accepts connections in bounded batches. Refuses to
know what the bytes mean: it is given a factory of connections per listener.

Invariants: a turn reads at most one buffer per connection and accepts at most `accepts_max` per listener; a connection
without traffic owns no buffer; a descriptor is closed only when no event of the current batch can still name it,
because closing happens in `dispose`, after all events of the turn were looked at.
"""

import logging
from collections import deque

from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, EPROTO
from libc.errno cimport errno as c_errno
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, strerror

from broker.net.turn cimport Link, Source, Turn
from broker.wire.buffers cimport BufferPool
from broker.wire.connection cimport Connection

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    enum:
        EPOLLIN
        EPOLLOUT
        EPOLLRDHUP
        EPOLLERR
        EPOLLHUP
        EPOLL_CTL_ADD
        EPOLL_CTL_MOD
        EPOLL_CTL_DEL
        EPOLL_CLOEXEC
    int epoll_create1(int flags)
    int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event)
    int epoll_wait(int epoll_fd, epoll_event* events, int events_max, int timeout_ms)

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        uint16_t sa_family
    struct sockaddr_storage:
        uint16_t ss_family
    enum:
        AF_INET
        AF_INET6
        MSG_NOSIGNAL
        SHUT_WR
        SOCK_NONBLOCK
        SOCK_CLOEXEC
    int accept4(int fd, sockaddr* address, socklen_t* size, int flags)
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t send(int fd, const void* buffer, size_t size, int flags)
    int shutdown(int fd, int how)
    int setsockopt(int fd, int level, int option, const void* value, socklen_t size)

cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len
    ssize_t readv(int fd, const iovec* vectors, int count)

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        pass
    struct in6_addr:
        pass
    struct sockaddr_in:
        uint16_t sin_port
        in_addr sin_addr
    struct sockaddr_in6:
        uint16_t sin6_port
        in6_addr sin6_addr
    enum:
        IPPROTO_TCP
        INET6_ADDRSTRLEN
    int IN6_IS_ADDR_V4MAPPED(const in6_addr* address)
    uint16_t ntohs(uint16_t value)

cdef extern from "<netinet/tcp.h>" nogil:
    enum:
        TCP_NODELAY

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* address, char* text, socklen_t size)

cdef extern from "<unistd.h>" nogil:
    int c_close "close"(int fd)

cdef enum:
    EVENTS_MAX = 512                                    # per turn; what is not told now is told in the next

# Of a socket that is read. RDHUP comes with IN: the peer has said all, and what is there to read is the last.
cdef uint32_t READS = EPOLLIN | EPOLLRDHUP

# What an event is about, in the upper half of epoll's 64 bits; the descriptor is the lower half.
cdef uint64_t ABOUT_LINK = 0
cdef uint64_t ABOUT_LISTENER = 1
cdef uint64_t ABOUT_WATCHED = 2

log = logging.getLogger("hubbub.net")


cdef str peer_name(sockaddr_storage* address):
    """`127.0.0.1:5000` or `[::1]:5000`; empty for what is neither IPv4 nor IPv6."""
    cdef char text[INET6_ADDRSTRLEN]
    cdef sockaddr_in* v4 = <sockaddr_in*>address
    cdef sockaddr_in6* v6 = <sockaddr_in6*>address
    cdef const uint8_t* octets = NULL
    if address.ss_family == AF_INET:
        octets = <const uint8_t*>&v4.sin_addr
    elif address.ss_family == AF_INET6 and IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr):
        octets = <const uint8_t*>&v6.sin6_addr + 12
    if octets != NULL:          # `sin_port` and `sin6_port` are at the same place
        return f"{octets[0]}.{octets[1]}.{octets[2]}.{octets[3]}:{ntohs(v4.sin_port)}"
    if address.ss_family == AF_INET6 and inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text)) != NULL:
        return f"[{text.decode('ascii')}]:{ntohs(v6.sin6_port)}"
    return ""


cdef class Poller(Source):
    """Every plain TCP connection of the process. One per event loop."""

    def __cinit__(
        self, loop, Turn turn not None, BufferPool pool=None, *, size_t read_bytes_max=256 * 1024,
        size_t high_bytes=1024 * 1024, size_t bytes_max=256 * 1024 * 1024, int accepts_max=64,
        int connections_max=65536, double linger_s=5.0, double accept_pause_s=0.2,
    ):
        self.epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if self.epoll_fd < 0:
            raise OSError(c_errno, strerror(c_errno).decode())
        self.buffer = <char*>malloc(read_bytes_max)
        if self.buffer == NULL:
            raise MemoryError
        self.loop = loop
        self.turn = turn
        self.pool = BufferPool() if pool is None else pool
        self.read_bytes_max = read_bytes_max
        self.high_bytes = high_bytes
        self.bytes_max = bytes_max
        self.accepts_max = accepts_max
        self.connections_max = connections_max
        self.linger_s = linger_s
        self.accept_pause_s = accept_pause_s
        self.links = []
        self.acceptors = {}
        self.lingering = deque()
        self.accepting = True
        turn.source = self
        loop.add_reader(self.epoll_fd, turn.run)

    def __dealloc__(self):
        free(self.buffer)
        if self.epoll_fd >= 0:
            c_close(self.epoll_fd)

    # ── from the composition root ─────────────────────────────────────────────────────────────────────────────────

    def listen(self, int fd, listener, factory):
        """Accept from the listening, non-blocking `fd`, the caller's. `factory(listener)` makes connections."""
        cdef int one = 1
        # What is accepted inherits it: no call per connection.
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
        self.acceptors[fd] = (listener, str(listener), factory)
        self.add(fd, ABOUT_LISTENER, EPOLLIN if self.accepting else 0)

    def watch(self, int fd):
        """Run a turn whenever `fd` is readable; whoever owns it reads it in `TurnHooks.ends(notified=True)`."""
        self.add(fd, ABOUT_WATCHED, EPOLLIN)

    def connections(self):
        """The connections that are open, in no particular order."""
        cdef SocketLink link
        return [link.connection for link in self.links if link is not None and link.connection is not None]

    @property
    def lingering_count(self) -> int:
        """Connections that have said all, and whose peers have not closed yet."""
        return len(self.lingering)

    def stop_listening(self):
        """Accept no more; the listening descriptors are the caller's to close. Open connections go on."""
        cdef int fd
        for fd in self.acceptors:
            epoll_ctl(self.epoll_fd, EPOLL_CTL_DEL, fd, NULL)
        self.acceptors.clear()

    def close(self):
        """Cut what is still open, and give everything back. The turn reads nothing any more."""
        cdef SocketLink link
        self.stop_listening()
        for link in self.links:
            if link is not None:
                link.half_closed = False
                link.fail("the broker stops")
                self.turn.tell_ended()
                link.dispose()
        self.lingering.clear()
        if self.epoll_fd >= 0:
            self.loop.remove_reader(self.epoll_fd)
            c_close(self.epoll_fd)
            self.epoll_fd = -1
            self.turn.source = Source()

    cdef int add(self, int fd, uint64_t about, uint32_t events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.u64 = about << 32 | <uint64_t>fd
        if epoll_ctl(self.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0:
            raise OSError(c_errno, strerror(c_errno).decode())
        return 0

    # ── one turn ──────────────────────────────────────────────────────────────────────────────────────────────────

    cdef bint poll(self) noexcept:
        cdef epoll_event events[EVENTS_MAX]
        cdef int count = epoll_wait(self.epoll_fd, events, EVENTS_MAX, 0)
        cdef int index, fd
        cdef uint64_t about
        cdef bint notified = False, listening = False
        cdef SocketLink link
        for index in range(count):
            fd = <int>(events[index].data.u64 & 0xFFFFFFFF)
            about = events[index].data.u64 >> 32
            if about == ABOUT_LINK:
                link = <SocketLink>self.links[fd]
                if link is None:
                    continue
                if events[index].events & EPOLLOUT:
                    self.arm(link, link.events & ~<uint32_t>EPOLLOUT)
                    if not link.scheduled:
                        link.scheduled = True
                        self.turn.schedule(link)
                if events[index].events & EPOLLIN:
                    self.read(link, events[index].events & EPOLLRDHUP)
                elif events[index].events & (EPOLLERR | EPOLLHUP):
                    # Not readable, or paused: the peer has reset the connection.
                    link.lose("connection reset by peer")
            elif about == ABOUT_WATCHED:
                notified = True
            else:
                listening = True
        if listening:
            for fd in list(self.acceptors):
                self.accept(fd)
        return notified

    cdef void read(self, SocketLink link, bint is_last) noexcept:
        """One read into the shared buffer, or past it into the message that a large body belongs to.

        `is_last`: the peer has said all, so that a read which leaves room is the last with anything in it.
        """
        cdef size_t offset = link.kept_size
        cdef size_t wanted = 0
        cdef char* where = NULL
        cdef iovec vectors[2]
        cdef ssize_t count
        if (link.paused or link.closed) and not link.half_closed:
            return
        if offset >= self.read_bytes_max:
            return                      # resumed by another connection in this very turn: what is kept comes first
        if offset == 0 and not link.half_closed and not link.closing and link.connection is not None:
            wanted = link.connection.next_bytes(&where)
        if wanted != 0:
            vectors[0].iov_base = where
            vectors[0].iov_len = min(wanted, self.read_bytes_max)
            vectors[1].iov_base = self.buffer
            # Only when the body is complete may what follows come here.
            vectors[1].iov_len = self.read_bytes_max if wanted <= self.read_bytes_max else 0
            count = readv(link.fd, vectors, 2)
        else:
            count = recv(link.fd, self.buffer + offset, self.read_bytes_max - offset, 0)
            link.heard_all = is_last and count > 0 and <size_t>count < self.read_bytes_max - offset
        if count <= 0:
            if count == 0:
                link.lose("closed by peer")
            elif c_errno not in (EAGAIN, EINTR):
                link.lose(strerror(c_errno).decode().lower())
            return
        if link.half_closed or link.closing:
            return
        link.bytes_received += count
        if wanted != 0:
            wanted = vectors[0].iov_len
            if <size_t>count <= wanted:
                link.connection.bytes_stored(count)
                return
            link.connection.bytes_stored(wanted)
            link.feed(self.buffer, count - wanted)
            return
        if offset != 0:
            memcpy(self.buffer, link.kept, offset)
            link.drop_kept()
        link.feed(self.buffer, offset + count)

    cdef void arm(self, SocketLink link, uint32_t events) noexcept:
        cdef epoll_event event
        if link.fd < 0 or link.events == events:
            return
        link.events = events
        event.events = events
        event.data.u64 = ABOUT_LINK << 32 | <uint64_t>link.fd
        epoll_ctl(self.epoll_fd, EPOLL_CTL_MOD, link.fd, &event)

    # ── accepting ─────────────────────────────────────────────────────────────────────────────────────────────────

    cdef void accept(self, int listening_fd) noexcept:
        cdef sockaddr_storage address
        cdef socklen_t size
        cdef int fd, _
        cdef object listener, factory
        cdef str name
        if not self.accepting:
            return
        listener, name, factory = self.acceptors[listening_fd]
        for _ in range(self.accepts_max):
            size = sizeof(address)
            fd = accept4(listening_fd, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
            if fd < 0:
                if c_errno in (EMFILE, ENFILE, ENOBUFS, ENOMEM):
                    self.pause_accepting(c_errno)
                elif c_errno in (ECONNABORTED, EINTR, EPROTO):
                    continue
                return
            if self.connection_count >= self.connections_max:
                self.refused_count += 1
                c_close(fd)
                continue
            try:
                self.adopt(fd, peer_name(&address), name, factory(listener))
            except Exception:
                log.exception("a new connection on %s failed", listener)
                c_close(fd)

    cdef int adopt(self, int fd, str peer, str listener, Connection connection) except -1:
        cdef SocketLink link = SocketLink.__new__(SocketLink, self.pool, self.high_bytes, self.bytes_max)
        self.add(fd, ABOUT_LINK, READS)
        while len(self.links) <= fd:
            self.links.append(None)
        link.fd = fd
        link.events = READS
        link.poller = self
        link.turn = self.turn
        link.read_bytes_max = self.read_bytes_max
        self.links[fd] = link
        self.connection_count += 1
        self.accepted_count += 1
        link.open(connection, peer, listener)
        return 0

    cdef void pause_accepting(self, int error) noexcept:
        """Out of descriptors: a level-triggered listener would turn the loop into a busy one. Try again in a moment."""
        self.accept_pause_count += 1
        self._set_accepting(False)
        log.error("accepting stops for %s s: %s", self.accept_pause_s, strerror(error).decode())
        self.loop.call_later(self.accept_pause_s, self._set_accepting, True)

    def _set_accepting(self, bint wanted):
        cdef epoll_event event
        cdef int fd
        self.accepting = wanted
        if self.epoll_fd < 0:
            return
        for fd in self.acceptors:
            event.events = EPOLLIN if wanted else 0
            event.data.u64 = ABOUT_LISTENER << 32 | <uint64_t>fd
            epoll_ctl(self.epoll_fd, EPOLL_CTL_MOD, fd, &event)

    # ── last words ────────────────────────────────────────────────────────────────────────────────────────────────

    cdef void linger(self, SocketLink link) noexcept:
        """From now on the peer has `linger_s` to take what we say and to close."""
        link.lingers = True
        self.lingering.append((self.loop.time() + self.linger_s, link))
        if not self.lingering_ends:
            self.lingering_ends = True
            self.loop.call_later(self.linger_s, self._end_lingering)

    cdef void forget_gone(self) noexcept:
        """What lingered no longer is not kept: thousands a second may come and go."""
        while self.lingering and (<SocketLink>self.lingering[0][1]).fd < 0:
            self.lingering.popleft()

    def _end_lingering(self):
        cdef SocketLink link
        cdef double now = self.loop.time()
        self.lingering_ends = False
        while self.lingering and self.lingering[0][0] <= now:
            link = self.lingering.popleft()[1]
            if link.fd >= 0:
                link.lose("the peer did not take our last words")
        self.forget_gone()
        if self.lingering:
            self.lingering_ends = True
            self.loop.call_later(max(self.lingering[0][0] - now, 0.001), self._end_lingering)


cdef class SocketLink(Link):
    """One socket of the poller."""

    def __cinit__(self):
        self.fd = -1

    cdef void flush(self) noexcept:
        cdef size_t pending = self.end - self.start
        cdef ssize_t count
        if self.closed or self.half_closed or self.fd < 0:
            return
        if pending > self.high_bytes:
            self.was_full = True
        if self.events & EPOLLOUT:
            return                      # the socket is full, and epoll tells when it is not
        if pending != 0:
            count = send(self.fd, self.data + self.start, pending, MSG_NOSIGNAL)
            if count < 0:
                if c_errno not in (EAGAIN, EINTR):
                    self.fail(strerror(c_errno).decode().lower())
                    return
                count = 0
            self.bytes_sent += count
            self.start += count
            if <size_t>count < pending:
                self.poller.arm(self, self.events | EPOLLOUT)
            else:
                self.release()
            self.drained()
        if self.closing and self.data == NULL:
            self.half_close()
        if self.closing and not self.lingers and (self.half_closed or not self.closed):
            self.poller.linger(self)

    cdef void half_close(self) noexcept:
        """All is said. Closing now could destroy it: unread input makes the kernel send a reset, which overtakes it.

        Where the peer has said all, too, and all of it was read, nothing is left to wait for.
        """
        self.closed = True
        self.drop_kept()
        if not self.heard_all:
            self.half_closed = True
            shutdown(self.fd, SHUT_WR)
            self.poller.arm(self, READS)
        self.turn.end(self, "closed")

    cdef void lose(self, str reason) noexcept:
        """The socket is of no more use."""
        if self.half_closed:
            self.half_closed = False
            if self.connection is None:
                self.dispose()
            # Else the turn is about to tell it, and disposes then.
        else:
            self.fail(reason)

    cdef void set_reading(self, bint wanted) noexcept:
        self.poller.arm(self, self.events | READS if wanted else self.events & ~READS)

    cdef void dispose(self) noexcept:
        if self.half_closed or self.fd < 0:
            return
        self.poller.links[self.fd] = None
        self.poller.connection_count -= 1
        c_close(self.fd)
        self.fd = -1
        if self.lingers:
            self.poller.forget_gone()
