"""A target for cold code. Owns nothing but the call: routing selects, the function does."""

from broker.core.message cimport message_view
from broker.core.target cimport Target
from storage.records cimport message_t


cdef class CallbackTarget(Target):
    """Calls `taken(message)`, which returns ROUTED, STORED, REFUSED or'ed."""

    def __init__(self, str name, taken):
        """`name`: for whoever lists bindings."""
        self.name = name
        self.taken = taken

    cdef int accept(self, message_t* message) except -1:
        return self.taken(message_view(message))
