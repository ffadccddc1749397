"""Delivery counts that outlive a restart: see delivery_counts.pxd."""

from broker.core.entry cimport ENTRY_DURABLE

from storage import layout
from storage.layout import Database

DELIVERIES = int(Database.DELIVERIES)


cdef class DeliveryCounts(Contributor):
    """Of one queue."""

    def __cinit__(self, Store store, uint32_t store_id):
        self.store = store
        self.store_id = store_id

    cdef int note(self, entry_t* entry) except -1:
        """The entry came back: its count is on disk with the open batch."""
        if entry.flags & ENTRY_DURABLE:
            self.change(entry.segment, entry.slot, entry.delivery_count)
        return 0

    cdef int forget(self, entry_t* entry) except -1:
        """The entry is settled."""
        if entry.flags & ENTRY_DURABLE:
            self.change(entry.segment, entry.slot, 0)
        return 0

    cdef int change(self, uint64_t segment, uint32_t slot, uint16_t count) except -1:
        if self.changed is None:
            self.changed = {}
        self.changed[(segment, slot)] = count
        return self.store.expect(self)

    cdef uint16_t take(self, uint64_t segment, uint32_t slot) except? 65535:
        return self.restored.pop((segment, slot), 0) if self.restored else 0

    cdef int forget_restored(self) except -1:
        if self.restored:
            for segment, slot in self.restored:
                self.change(segment, slot, 0)
            self.restored = None
        return 0

    cdef int contribute(self) except -1:
        for (segment, slot), count in self.changed.items():
            key = layout.delivery_key(self.store_id, segment, slot)
            if count:
                self.store.put(DELIVERIES, key, layout.delivery_value(count))
            else:
                self.store.delete(DELIVERIES, key)
        self.changed = None
        return 0

    def restore(self, uint64_t segment, uint32_t slot, uint16_t count):
        """What the store has of one message; called before any is read back."""
        if self.restored is None:
            self.restored = {}
        self.restored[(segment, slot)] = count
