"""The canonical Message, as the core's and the dialects' cold code sees it: a thin view of `message_t`.

Hot code passes `message_t*` (storage.records) and never makes one of these. The properties stay as they came, AMQP
0-9-1 §4.2.6.1; a dialect with other properties translates them in its `translate`.
"""

from libc.stddef cimport size_t

from broker.core.properties cimport properties_t
from storage.octets cimport copy_bytes, same_bytes
from storage.records cimport (                      # what the dialects may know of storage, they know from here
    MESSAGE_HAS_HEADERS, MESSAGE_PERSISTENT, MESSAGE_QOS2, MESSAGE_RETAIN, MESSAGE_RETAINED, message_begin,
    message_body, message_exchange, message_extend, message_new, message_properties, message_ref, message_routing_key,
    message_size, message_t, message_unref,
)

cdef enum:
    MESSAGE_OK = 0
    MESSAGE_BAD_PROPERTIES = -1     # not a property list
    MESSAGE_BAD_EXPIRATION = -2     # not a number of milliseconds

cdef class Message:
    cdef message_t* message         # owns one reference

cdef Message message_view(message_t* message)

# Fills the fields that are kept beside the raw properties: delivery mode, priority, expiration, flags. MESSAGE_*.
cdef int message_describe(message_t* message) noexcept nogil
# Validates and describes in one scan; `found` tells more.
cdef int message_scan(message_t* message, properties_t* found) noexcept nogil
