"""`StoreView` and `StoredMessage`: see `view.pxd`."""

from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from storage.interface cimport loaded_t
from storage.records cimport (
    message_body,
    message_exchange,
    message_new,
    message_properties,
    message_routing_key,
    message_unref,
)


cdef class StoredMessage:
    """A message, holding one reference to it. All its texts are bytes; `expiration_ms` is -1 where absent."""

    def __init__(self, bytes body=b"", *, bytes exchange=b"", bytes routing_key=b"", bytes properties=b"",
                 uint8_t flags=0, uint8_t priority=0, int64_t expiration_ms=-1):
        self.message = message_new(exchange, len(exchange), routing_key, len(routing_key), properties,
                                   len(properties), len(body))
        if self.message == NULL:
            raise MemoryError
        self.message.flags = flags
        self.message.priority = priority
        self.message.expiration_ms = expiration_ms
        memcpy(message_body(self.message), <const char*>body, len(body))

    def __dealloc__(self):
        if self.message != NULL:
            message_unref(self.message)

    @property
    def body(self):
        return message_body(self.message)[:self.message.body_size]

    @property
    def exchange(self):
        return message_exchange(self.message)[:self.message.exchange_size]

    @property
    def routing_key(self):
        return message_routing_key(self.message)[:self.message.routing_key_size]

    @property
    def properties(self):
        return message_properties(self.message)[:self.message.properties_size]

    @property
    def flags(self):
        return self.message.flags

    @property
    def priority(self):
        return self.message.priority

    @property
    def expiration_ms(self):
        return self.message.expiration_ms

    @property
    def publisher(self):
        return self.message.publisher

    @property
    def references(self):
        """How many hold it: this object, the open batch, whoever else."""
        return self.message.references


cdef class StoreView:
    """`store` with its C verbs as methods. Errors are those of `interface.pxd`."""

    def __init__(self, Store store):
        self.store = store

    def append(self, StoredMessage message, uint32_t queue_id, uint64_t position=0, *, int64_t expires_at_ms=0,
               uint8_t priority=0, uint8_t flags=1):
        """(segment, slot) of one message in one queue; `flags` are SLOT_* (1: durable)."""
        cdef uint64_t segment
        cdef uint32_t slot
        self.store.append(message.message, queue_id, position, expires_at_ms, priority, flags, &segment, &slot)
        return segment, slot

    def settle(self, uint64_t segment, uint32_t slot):
        self.store.settle(segment, slot)

    def settle_from(self, uint64_t segment, uint32_t queue_id, uint32_t first_slot=0):
        self.store.settle_from(segment, queue_id, first_slot)

    def is_stored(self, uint64_t segment):
        return self.store.is_stored(segment)

    def load(self, uint64_t segment, uint32_t queue_id, uint32_t first_slot=0, int loaded_max=1000,
             uint64_t bytes_max=1 << 40):
        """[(slot, position, expires_at_ms, priority, flags, StoredMessage)] of the live slots, in slot order."""
        cdef loaded_t* loaded = <loaded_t*>malloc(max(1, loaded_max) * sizeof(loaded_t))
        cdef StoredMessage message
        cdef int count, index
        if loaded == NULL:
            raise MemoryError
        try:
            count = self.store.load(segment, queue_id, first_slot, loaded, loaded_max, bytes_max)
            slots = []
            for index in range(count):
                message = StoredMessage.__new__(StoredMessage)
                message.message = loaded[index].message
                slots.append((loaded[index].slot, loaded[index].position, loaded[index].expires_at_ms,
                              loaded[index].priority, loaded[index].flags, message))
            return slots
        finally:
            free(loaded)
