"""`MemoryStore`: see `memory_store.pxd`."""

import os
from bisect import bisect_left

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from storage.batch cimport batch_encode, batch_t

from storage.errors import StoreFailedError
from storage.layout import META_SEGMENT_CEILING, Database
from storage.replay import empty_state, replay


cdef class MemoryStore(SegmentStore):
    def __cinit__(self, *_, **__):
        self.notify_write_fd = -1

    def __init__(self, *, state=None, **settings):
        """`state`: what an earlier store left (its `state`), to go on from; None: empty. The rest: `BatchStore`."""
        super().__init__(**{"durability": "memory", **settings})
        self.state = empty_state() if state is None else state
        segments = self.state[Database.SEGMENTS]
        last = int.from_bytes(max(segments)[:8], "big") if segments else 0
        ceiling = int.from_bytes(self.state[Database.META].get(META_SEGMENT_CEILING, b""), "big")
        self.next_segment = max(ceiling, last + 1)
        self.notify_fd, self.notify_write_fd = os.pipe()
        for fd in (self.notify_fd, self.notify_write_fd):
            os.set_blocking(fd, False)

    cdef int hand_over(self, batch_t* batch) except -1:
        replay(batch_encode(batch, &self.scratch), self.state)
        self.committed = True
        os.write(self.notify_write_fd, b"!")
        return 0

    cdef batch_t* take_committed(self) except? NULL:
        if not self.committed:
            return NULL
        os.read(self.notify_fd, 16)
        self.committed = False
        return self.in_flight

    cdef int begin_reading(self) except -1:
        return 0

    cdef void end_reading(self) noexcept:
        self.keys = None

    cdef int read_value(self, int database, const char* key, size_t key_size, const char** value,
                        size_t* value_size) except -1:
        found = (<dict>self.state[database]).get(key[:key_size])
        if found is None:
            return 0
        value[0] = PyBytes_AS_STRING(found)
        value_size[0] = PyBytes_GET_SIZE(found)
        return 1

    cdef int next_value(self, int database, const char* start, size_t start_size, const char** key, size_t* key_size,
                        const char** value, size_t* value_size) except -1:
        if start != NULL:
            self.keys = sorted(self.state[database])
            self.next_key = bisect_left(self.keys, start[:start_size])
        if self.next_key >= len(self.keys):
            return 0
        name = self.keys[self.next_key]
        self.next_key += 1
        key[0] = PyBytes_AS_STRING(name)
        key_size[0] = PyBytes_GET_SIZE(name)
        return self.read_value(database, key[0], key_size[0], value, value_size)

    def sync(self, timeout_s=10.0):
        if self.closed:
            raise StoreFailedError("the store is closed")
        self.collect()
        self.sealed_at_ms = 0
        while self.seal():
            self.collect()
            self.sealed_at_ms = 0

    def statistics(self):
        return {**self.counters(), "file_bytes": self.stored_bytes, "free_bytes": 0}

    def backup(self, directory):
        raise StoreFailedError("a store in memory has nothing to back up")

    def close(self, timeout_s=10.0):
        if not self.closed:
            self.sync(timeout_s)
        self.abandon()

    def abandon(self):
        self.closed = True
        if self.notify_fd >= 0:
            os.close(self.notify_fd)
            os.close(self.notify_write_fd)
            self.notify_fd = -1
