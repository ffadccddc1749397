"""The store for Python that is not in a hurry: tools and tests. One call per message.

Owns a reference to each message that it shows. The broker's own paths use the C verbs of `interface.pxd`.
"""

from storage.interface cimport Store
from storage.records cimport message_t


cdef class StoredMessage:
    cdef message_t* message


cdef class StoreView:
    cdef readonly Store store
