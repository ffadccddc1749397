"""What a connection has to say and the socket has not yet taken.

Owns the bytes between a dialect and an edge; see `output.pxd` for the verbs. Refuses to know sockets: an edge
subclasses it and overrides `schedule`, `close`, `abort`, `pause_reading` and `resume_reading`. As it stands here it is
the output of a connection without a socket, whose edge calls `take`.
"""

from libc.string cimport memcpy, memmove

from broker.wire.buffers cimport BufferPool


cdef class Output:
    """Pending bytes towards one peer. `high_bytes`: full above this; `bytes_max`: cut off above this."""

    def __cinit__(self, BufferPool pool=None, size_t high_bytes=1024 * 1024, size_t bytes_max=256 * 1024 * 1024):
        self.pool = BufferPool() if pool is None else pool
        self.high_bytes = high_bytes
        self.bytes_max = bytes_max

    def __dealloc__(self):
        if self.data != NULL:
            self.pool.give(self.data, self.capacity)
            self.data = NULL

    @property
    def pending_bytes(self):
        """How many bytes the socket has not yet taken."""
        return self.end - self.start

    @property
    def is_full(self):
        """Whether deliveries must wait."""
        return output_full(self)

    @property
    def is_closed(self):
        """Whether nothing more can be said."""
        return self.closed or self.closing

    cdef char* reserve(self, size_t size) noexcept:
        if self.closed or self.closing:
            return NULL
        if self.data == NULL:
            self.data = self.pool.take(size if size > self.usual_bytes else self.usual_bytes, &self.capacity)
            if self.data == NULL:
                return NULL
            self.start = 0
            self.end = 0
        elif self.end + size > self.capacity and not self.make_room(size):
            return NULL
        return self.data + self.end

    cdef bint make_room(self, size_t size) noexcept:
        """Slides what is pending to the front if that frees half of the buffer, else moves to a larger one."""
        cdef size_t pending = self.end - self.start
        cdef size_t capacity = 0
        cdef char* larger
        if pending + size > self.bytes_max:
            # Law 3: only a peer that does not read, and makes us answer all the same, comes here.
            self.abort()
            return False
        if pending + size <= self.capacity // 2:
            memmove(self.data, self.data + self.start, pending)
        else:
            # Twice as large, or a peer that does not read would have all of it copied with every frame.
            larger = self.pool.take(max(pending + size, min(self.capacity * 2, self.bytes_max)), &capacity)
            if larger == NULL:
                return False
            memcpy(larger, self.data + self.start, pending)
            self.pool.give(self.data, self.capacity)
            self.data = larger
            self.capacity = capacity
        self.start = 0
        self.end = pending
        return True

    cdef void written(self, size_t size) noexcept:
        self.end += size
        if not self.scheduled:
            self.scheduled = True
            self.schedule()

    cdef void write(self, const char* data, size_t size) noexcept:
        cdef char* room = self.reserve(size)
        if room != NULL:
            memcpy(room, data, size)
            self.written(size)

    cdef void schedule(self) noexcept:
        pass

    cdef void release(self) noexcept:
        if self.data != NULL:
            # The next burst is taken to be as large as this one, or half of the one before: growing step by step would
            # copy each burst again and again.
            self.usual_bytes = max(self.end, self.usual_bytes // 2)
            self.pool.give(self.data, self.capacity)
            self.data = NULL
        self.start = 0
        self.end = 0

    cpdef close(self):
        """Send what is pending, then close. What is written after this is dropped."""
        self.closing = True

    cpdef abort(self):
        """Close at once; what is pending is lost."""
        self.closed = True
        self.release()

    cpdef pause_reading(self):
        """Take no more from the peer. A connection without a socket is fed by its owner, who decides by itself."""

    cpdef resume_reading(self):
        """Take from the peer again."""

    cpdef hand_over(self, object connection):
        """From now on the peer is `connection`'s."""
        raise NotImplementedError("only an edge can give its peer to another connection")

    cpdef bytes take(self):
        """All that is pending, taken out, for edges that carry it themselves."""
        cdef bytes pending = b"" if self.data == NULL else self.data[self.start:self.end]
        self.bytes_sent += len(pending)
        self.release()
        self.scheduled = False
        if self.closing:
            self.closed = True
        return pending
