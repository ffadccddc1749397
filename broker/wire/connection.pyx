"""The one interface between a socket and a dialect: see `connection.pxd` for the contract.

Owns the numbering of connections and the bridge to dialects in plain Python. Refuses to know sockets and protocols.
"""

from libc.string cimport memcpy

from broker.wire.output cimport Output

cdef unsigned long long last_number = 0


cdef class Connection:
    """One peer. A dialect subclasses it; an edge feeds it."""

    def __cinit__(self):
        global last_number
        last_number += 1
        self.number = last_number
        self.peer = ""
        self.listener = ""

    def attach(self, Output output not None):
        """Give the connection its output: what an edge written in Python does before `opened`."""
        self.output = output

    def feed(self, data):
        """Consume whole units from the front of bytes-like `data`; returns how many bytes it took."""
        cdef const unsigned char[::1] view = data
        if view.shape[0] == 0:
            return 0
        return self.data_received(<const char*>&view[0], view.shape[0])

    def before_sending(self):
        """`flushing`, for an edge written in Python: before it takes what `output` holds."""
        return self.flushing()

    cpdef opened(self):
        """The transport is there."""

    cdef Py_ssize_t data_received(self, const char* data, Py_ssize_t size) except -1:
        raise NotImplementedError("a dialect implements data_received")

    cdef size_t next_bytes(self, char** where) noexcept:
        return 0

    cdef void bytes_stored(self, size_t size) noexcept:
        pass

    cdef void writable(self) noexcept:
        pass

    cdef bint flushing(self) noexcept:
        return False

    cpdef shut_down(self, str text):
        """The operator stops the broker. A dialect that has words for it says them first."""
        if self.output is not None:
            self.output.close()

    def expel(self, str text):
        """An administrator ends it. A dialect that has other words for that says them."""
        self.shut_down(text)

    cpdef lost(self, str reason):
        """The transport is gone."""


cdef class PythonConnection(Connection):
    """A dialect in plain Python: override `on_received`, and what else of the contract it needs; call `send`."""

    def on_received(self, data: bytes) -> int:
        """Consume whole units from the front of `data`; returns how many bytes it took."""
        raise NotImplementedError("a dialect implements on_received")

    def on_writable(self) -> None:
        """The output was full and has drained."""

    def next_buffer(self) -> bytearray | memoryview | None:
        """Where the next bytes from the socket may go straight to (a large body), writable; None for nowhere."""
        return None

    def on_stored(self, size: int) -> None:
        """`size` bytes went straight into the last `next_buffer`."""

    def send(self, data: bytes) -> None:
        """Append to the output; dropped if the connection is closing."""
        cdef char* room
        if self.output is None or len(data) == 0:
            return
        room = self.output.reserve(len(data))
        if room != NULL:
            memcpy(room, <const char*>data, len(data))
            self.output.written(len(data))

    cdef Py_ssize_t data_received(self, const char* data, Py_ssize_t size) except -1:
        return self.on_received(data[:size])

    cdef size_t next_bytes(self, char** where) noexcept:
        cdef unsigned char[::1] target
        buffer = self.next_buffer()
        if buffer is None or len(buffer) == 0:
            return 0
        target = buffer
        where[0] = <char*>&target[0]
        # The dialect keeps its buffer alive until `on_stored`; no reference is held here.
        return target.shape[0]

    cdef void bytes_stored(self, size_t size) noexcept:
        self.on_stored(size)

    cdef void writable(self) noexcept:
        self.on_writable()
