"""Connections over the event loop's own transports: TLS, and systems without epoll.

Owns the protocol objects that asyncio and uvloop call. The bytes go the same way as the poller's:
`Connection.data_received` in, the same output out, flushed at the end of a turn. Refuses to know TLS itself, which is
the loop's, and what the bytes mean.

Invariants: all transports read into one buffer, which is free again when `buffer_updated` returns (the loops call
`get_buffer` and `buffer_updated` back to back); a transport holds at most one flushed output, and is given no more
until it has sent most of it.
"""

import asyncio
import logging

from libc.string cimport memcpy

from broker.net.turn cimport Link, Turn
from broker.wire.buffers cimport BufferPool
from broker.wire.connection cimport Connection

from broker.net.listener import join_address

cdef extern from "Python.h":
    bytes PyBytes_FromStringAndSize(char* data, Py_ssize_t size)

log = logging.getLogger("hubbub.net")


cdef class StreamEdge:
    """Every connection that a transport of the loop carries."""

    def __cinit__(
        self, loop, Turn turn not None, BufferPool pool=None, *, size_t read_bytes_max=256 * 1024,
        size_t high_bytes=1024 * 1024, size_t bytes_max=256 * 1024 * 1024, int connections_max=65536,
        double linger_s=5.0,
    ):
        self.loop = loop
        self.turn = turn
        self.pool = BufferPool() if pool is None else pool
        self.read_bytes_max = read_bytes_max
        self.high_bytes = high_bytes
        self.bytes_max = bytes_max
        self.connections_max = connections_max
        self.linger_s = linger_s
        self.buffer = bytearray(read_bytes_max)
        self.buffer_start = <char*>self.buffer
        self.buffer_view = memoryview(self.buffer)
        self.links = set()
        self.servers = []

    @property
    def connection_count(self):
        """How many connections are open."""
        return len(self.links)

    def connections(self):
        """The connections that are open, in no particular order."""
        cdef StreamLink link
        return [link.connection for link in self.links if link.connection is not None]

    async def listen(self, listener, factory, handshake_timeout_s=10.0):
        """Accept on a `net.listener.Listener`, with its TLS if it has one; returns the loop's server.

        `factory(listener)` makes connections.
        """
        def make():
            return self.make_link(listener, factory)

        tls = {}
        if listener.tls is not None:
            tls = {"ssl": listener.tls, "ssl_handshake_timeout": handshake_timeout_s,
                   "ssl_shutdown_timeout": self.linger_s}
        server = await self.loop.create_server(make, sock=listener.listening, **tls)
        self.servers.append(server)
        return server

    async def take(self, accepted, peer, listener, factory, handshake_timeout_s=10.0):
        """Serve a socket that somebody else has accepted, and who knows of whom: `peer`. OSError where TLS fails."""
        def make():
            return self.make_link(listener, factory, peer)

        tls = {}
        if listener.tls is not None:
            tls = {"ssl": listener.tls, "ssl_handshake_timeout": handshake_timeout_s,
                   "ssl_shutdown_timeout": self.linger_s}
        await self.loop.connect_accepted_socket(make, accepted, **tls)

    def adopt(self, transport, listener, factory, received, peer=""):
        """Take over a transport of the loop from another protocol, with the bytes that it has received.

        `peer`: who is there, where that is not the transport's peer. Returns when the connection is lost.
        """
        cdef StreamLink link = self.make_link(listener, factory, peer)
        cdef const unsigned char[::1] view = received
        link.ended = self.loop.create_future()
        transport.set_protocol(link)
        link.connection_made(transport)
        link.bytes_received += view.shape[0]
        link.feed(<const char*>&view[0], view.shape[0])
        return link.ended

    cdef StreamLink make_link(self, object listener, object factory, str peer=""):
        cdef StreamLink link = StreamProtocol.__new__(StreamProtocol, self.pool, self.high_bytes, self.bytes_max)
        link.edge = self
        link.turn = self.turn
        link.read_bytes_max = self.read_bytes_max
        link.listener = listener
        link.factory = factory
        link.peer = peer
        return link

    def stop_listening(self):
        """Accept nobody any more; who is connected stays."""
        for server in self.servers:
            server.close()
        self.servers.clear()

    def close(self):
        """Accept nobody any more, and cut what is still open."""
        cdef StreamLink link
        self.stop_listening()
        for link in list(self.links):
            link.fail("the broker stops")
        self.turn.tell_ended()


cdef class StreamLink(Link):
    """One transport. The class that the loop sees is `StreamProtocol`."""

    # ── called by the loop ────────────────────────────────────────────────────────────────────────────────────────

    def connection_made(self, transport):
        """The transport is there; with TLS, after the handshake."""
        cdef Connection connection
        if len(self.edge.links) >= self.edge.connections_max:
            self.edge.refused_count += 1
            self.closed = True
            transport.abort()
            return
        self.turn.enter()
        self.edge.links.add(self)
        self.edge.accepted_count += 1
        self.transport = transport
        transport.set_write_buffer_limits(high=64 * 1024)
        try:
            connection = self.factory(self.listener)
        except Exception:
            log.exception("a new connection on %s failed", self.listener)
            self.fail("internal error")
            return
        connection.tls = transport.get_extra_info("ssl_object")
        if not self.peer:
            host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
            self.peer = join_address(host, port)
        self.open(connection, self.peer, str(self.listener))

    def get_buffer(self, size_hint):
        """Where the loop reads to: the shared buffer, with room in front for what is kept."""
        self.read_offset = self.kept_size if self.kept_size < self.read_bytes_max else 0
        return self.edge.buffer_view[self.read_offset:]

    def buffer_updated(self, size_t size):
        """The loop has read `size` bytes to where `get_buffer` said."""
        # What is received is to be committed, and what is answered to be sent.
        self.turn.enter()
        self.received(size)

    def eof_received(self):
        """The peer has closed its half; so do we."""
        self.fail("closed by peer")
        return False

    def connection_lost(self, error):
        """The transport is gone."""
        self.edge.links.discard(self)
        if self.ended is not None and not self.ended.done():
            self.ended.set_result(None)
        self.transport = None
        if self.linger_timer is not None:
            self.linger_timer.cancel()
            self.linger_timer = None
        self.fail("closed by peer" if error is None else (str(error) or type(error).__name__).lower())

    def pause_writing(self):
        """The transport has enough."""
        self.writing_paused = True

    def resume_writing(self):
        """The transport takes more."""
        self.writing_paused = False
        if not self.scheduled and not self.closed:
            self.scheduled = True
            self.turn.schedule(self)

    # ── the edge's half of a link ─────────────────────────────────────────────────────────────────────────────────

    cdef void received(self, size_t size) noexcept:
        cdef char* start = self.edge.buffer_start
        cdef size_t offset = self.kept_size
        if self.closed or self.closing:
            return
        self.bytes_received += size
        if self.paused or self.read_offset != offset:
            # The transport had read ahead when reading was paused. How much is bounded by its own buffers.
            self.keep(start + self.read_offset, size)
            return
        if offset != 0:
            memcpy(start, self.kept, offset)
            self.drop_kept()
        self.feed(start, offset + size)

    cdef void flush(self) noexcept:
        cdef size_t pending = self.end - self.start
        if self.closed or self.transport is None:
            return
        if pending > self.high_bytes:
            self.was_full = True
        if self.writing_paused:
            return
        if pending != 0:
            self.transport.write(PyBytes_FromStringAndSize(self.data + self.start, pending))
            self.bytes_sent += pending
            self.release()
        if not self.writing_paused:
            self.drained()
        if self.closing and self.data == NULL:
            self.closed = True
            self.turn.end(self, "closed")

    cpdef close(self):
        """Send what is pending, then close; a peer that does not read is cut after a while."""
        if not self.closed and not self.closing:
            Link.close(self)
            self.linger()

    cdef void linger(self) noexcept:
        if self.linger_timer is None and self.transport is not None:
            self.linger_timer = self.edge.loop.call_later(self.edge.linger_s, self._cut)

    def _cut(self):
        """The peer has had its time."""
        self.linger_timer = None
        if self.closed:
            if self.transport is not None:
                self.transport.abort()
        else:
            self.fail("the peer did not take our last words")

    cdef void set_reading(self, bint wanted) noexcept:
        if self.transport is not None:
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    cdef void dispose(self) noexcept:
        if self.transport is not None:
            if self.closing and self.reason == "closed":
                self.transport.close()          # it sends what it has; the linger timer runs
            else:
                self.transport.abort()


class StreamProtocol(StreamLink, asyncio.BufferedProtocol):
    """What the loop sees: asyncio asks for its own base class, uvloop only for the methods."""

    __slots__ = ()
