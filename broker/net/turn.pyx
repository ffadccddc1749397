"""One turn of the loop, and what an edge keeps of one connection.

Owns the order of a turn, and the rules that all transports share: what is not consumed is kept, a full output stops
deliveries until it has drained, a lost connection is told once.

    begins → feed what was resumed → read all sources → tell the lost → ends (commit) → flush, at most N rounds

Refuses to know descriptors (`poller`), transports (`stream`), protocols and the store.

Invariants: nothing is sent while anything is read, so one turn costs one send per connection; `Connection.lost` is
called once and never from within a call of that connection into its output; nothing runs outside the loop's thread.
The GIL is held from the beginning to the end: taking it back from a busy thread costs more than the whole turn.
"""

import logging

from libc.stdint cimport int64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from posix.time cimport clock_gettime, clockid_t, timespec

from broker.wire.connection cimport Connection
from broker.wire.output cimport Output

cdef extern from "<time.h>" nogil:
    clockid_t CLOCK_MONOTONIC_COARSE

log = logging.getLogger("hubbub.net")


cdef inline int64_t coarse_us() noexcept:
    """Some milliseconds late, and therefore nearly free: asked after each read."""
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now)
    return <int64_t>now.tv_sec * 1000000 + now.tv_nsec // 1000


cdef class TurnHooks:
    """What is to happen before and after the reading of a turn. These do nothing."""

    cdef void begins(self) noexcept:
        pass

    cdef void ends(self, bint notified) noexcept:
        pass


cdef class Source:
    """Where a turn reads from: a poller, or nothing at all."""

    cdef bint poll(self) noexcept:
        return False


cdef class Turn:
    """Runs a turn whenever there is something to do. `rounds_max`: how often one turn flushes and refills outputs."""

    def __cinit__(self, loop, TurnHooks hooks=None, int rounds_max=4):
        self.loop = loop
        self.hooks = TurnHooks() if hooks is None else hooks
        self.source = Source()
        self.rounds_max = rounds_max
        self.scheduled = []
        self.resumed = []
        self.ended = []

    cpdef wake(self):
        """Ask for a turn: something was written, settled or stored outside of one. Cheap when already asked for."""
        if not self.woken:
            self.woken = True
            if not self.running:
                self.loop.call_soon(self.run)

    cpdef enter(self):
        """Something is about to happen outside of a turn (a stream, a request): reads the time, and asks for a turn."""
        if not self.running:
            self.hooks.begins()
        self.wake()

    def run(self):
        """Run one turn. A call from within a turn does nothing."""
        cdef bint notified
        cdef list resumed
        cdef Link link
        cdef int _
        if self.running:
            return
        self.running = True
        self.woken = False
        self.count += 1
        if self.stall_us:
            self.lap_us = coarse_us()
        self.hooks.begins()
        if self.resumed:
            resumed, self.resumed = self.resumed, []
            for link in resumed:
                link.feed_kept()
        notified = self.source.poll()
        self.tell_ended()
        lap(self, "reading", None)
        self.hooks.ends(notified)
        lap(self, "committing", None)
        for _ in range(self.rounds_max):
            if not self.scheduled and not self.ended:
                break
            self.flush()
            self.tell_ended()
        lap(self, "sending", None)
        if self.scheduled or self.ended or self.resumed:
            self.woken = True
        self.running = False
        if self.woken:
            # Other connections' sockets, timers and HTTP get their part before the next round.
            self.loop.call_soon(self.run)

    cdef void schedule(self, Link link) noexcept:
        self.scheduled.append(link)
        if not self.running:
            self.wake()

    cdef void end(self, Link link, str reason) noexcept:
        """The link's connection will be told that it is lost, at a moment when it is not on the stack."""
        link.reason = reason
        self.ended.append(link)
        if not self.running:
            self.wake()

    cdef void flush(self) noexcept:
        cdef list scheduled
        cdef Link link
        scheduled, self.scheduled = self.scheduled, []
        for link in scheduled:
            if link.connection is not None and link.connection.flushing():
                link.was_full = True            # so that `writable` follows
            link.scheduled = False
            link.flush()

    cdef void tell_ended(self) noexcept:
        cdef list ended
        cdef Link link
        cdef Connection connection
        while self.ended:
            ended, self.ended = self.ended, []
            for link in ended:
                connection = link.connection
                link.connection = None
                link.drop_kept()
                if connection is not None:
                    try:
                        connection.lost(link.reason)
                    except Exception:
                        log.exception("connection %d (%s): telling that it is lost failed",
                                      connection.number, connection.peer)
                    # Its queues may have got messages back, which must be committed.
                    self.woken = True
                link.dispose()


cdef inline void lap(Turn turn, str part, Connection connection) noexcept:
    """A part of the turn is over: one look at a cheap clock."""
    cdef int64_t now_us
    if turn.stall_us:
        now_us = coarse_us()
        if now_us - turn.lap_us > turn.stall_us:
            tell_stall(turn, part, connection, (now_us - turn.lap_us) / 1e6)
        turn.lap_us = now_us


cdef void tell_stall(Turn turn, str part, Connection connection, double seconds) noexcept:
    try:
        turn.on_stall(part, connection, seconds)
    except Exception:
        log.exception("telling of a stall failed")


cdef class Link(Output):
    """An edge's half of one connection."""

    def __dealloc__(self):
        free(self.kept)                 # what ended has dropped it; the turn may be gone by now

    cdef void open(self, Connection connection, str peer, str listener) noexcept:
        self.connection = connection
        connection.output = self
        connection.peer = peer
        connection.listener = listener
        try:
            connection.opened()
        except Exception:
            log.exception("connection %d (%s): opening failed", connection.number, peer)
            self.abort()

    cdef void feed(self, const char* data, size_t size) noexcept:
        """Give received bytes to the connection and keep what it does not consume. `kept` must be empty."""
        cdef Py_ssize_t consumed
        cdef Connection connection = self.connection            # held: it may hand over, and is on the stack
        if connection is None or self.closed or self.closing:
            return
        if self.turn.stall_us and not self.turn.running:
            self.turn.lap_us = coarse_us()
        try:
            consumed = connection.data_received(data, <Py_ssize_t>size)
            lap(self.turn, "reading", connection)
        except Exception:
            log.exception("connection %d (%s): a failure of ours, not of the peer",
                          connection.number, connection.peer)
            self.fail("internal error")
            return
        assert 0 <= consumed <= <Py_ssize_t>size
        if <size_t>consumed == size or self.closed or self.closing:
            return
        if self.connection is not connection and not self.paused:
            self.feed(data + consumed, size - consumed)         # handed over during the call
            return
        if size - consumed >= self.read_bytes_max and not self.paused:
            # Without a free byte in the read buffer nothing would ever move again.
            self.fail("a unit larger than the read buffer")
            return
        self.keep(data + consumed, size - consumed)

    @property
    def kept_bytes(self):
        """Received, and not yet taken."""
        return self.kept_size

    cdef void keep(self, const char* data, size_t size) noexcept:
        """Put received bytes behind those that are kept."""
        cdef char* kept = <char*>realloc(self.kept, self.kept_size + size)
        if kept == NULL:
            self.fail("no memory")
            return
        memcpy(kept + self.kept_size, data, size)
        self.kept = kept
        self.kept_size += size
        self.turn.kept_bytes += size

    cdef void feed_kept(self) noexcept:
        cdef char* kept = self.kept
        cdef size_t size = self.kept_size
        if self.paused or kept == NULL:
            return
        self.kept = NULL
        self.kept_size = 0
        self.turn.kept_bytes -= size
        self.feed(kept, size)
        free(kept)

    cdef void drop_kept(self) noexcept:
        free(self.kept)
        self.turn.kept_bytes -= self.kept_size
        self.kept = NULL
        self.kept_size = 0

    cdef void drained(self) noexcept:
        if self.was_full and self.end - self.start < self.high_bytes // 2:
            self.was_full = False
            if self.connection is not None and not self.closed and not self.closing:
                self.connection.writable()
                # What was delivered is settled at once where nobody acknowledges: there is something to commit.
                self.turn.woken = True

    cdef void fail(self, str reason) noexcept:
        """The transport is gone, or must go. What is pending is lost."""
        if self.closed:
            return
        self.closed = True
        self.release()
        self.turn.end(self, reason)

    cdef void schedule(self) noexcept:
        self.turn.schedule(self)

    cpdef abort(self):
        """Close at once; what is pending is lost."""
        self.fail("aborted")

    cpdef close(self):
        """Send what is pending, then close. What is written after this is dropped."""
        if self.closed or self.closing:
            return
        self.closing = True
        if not self.scheduled:
            self.scheduled = True
            self.turn.schedule(self)

    cpdef hand_over(self, object connection):
        """From now on the peer is `connection`'s; what the former one did not consume is fed to it."""
        cdef Connection heir = connection
        cdef Connection former = self.connection
        if former is None or self.closed or self.closing:
            return
        heir.tls = former.tls
        self.open(heir, former.peer, former.listener)

    cpdef pause_reading(self):
        """Take no more from the peer."""
        if not self.paused and not self.closed:
            self.paused = True
            self.set_reading(False)

    cpdef resume_reading(self):
        """Take from the peer again; what was kept is fed on the next turn."""
        if not self.paused or self.closed:
            return
        self.paused = False
        self.set_reading(True)
        if self.kept != NULL:
            self.turn.resumed.append(self)
            self.turn.wake()

    cdef void flush(self) noexcept:
        pass

    cdef void set_reading(self, bint wanted) noexcept:
        pass

    cdef void dispose(self) noexcept:
        pass
