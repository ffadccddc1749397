"""AMQP 0-9-1 content properties (§4.2.6.1): the canonical property format of the core.

The hot half of the interface: offsets, no objects. `properties.pyi` shows the Python half.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

from broker.core.field_table cimport properties_error_text, table_decode, table_scan, table_value

cdef enum:                          # indexes of `properties_t.fields`, in the order of the wire
    PROPERTY_CONTENT_TYPE = 0
    PROPERTY_CONTENT_ENCODING = 1
    PROPERTY_HEADERS = 2
    PROPERTY_DELIVERY_MODE = 3
    PROPERTY_PRIORITY = 4
    PROPERTY_CORRELATION_ID = 5
    PROPERTY_REPLY_TO = 6
    PROPERTY_EXPIRATION = 7
    PROPERTY_MESSAGE_ID = 8
    PROPERTY_TIMESTAMP = 9
    PROPERTY_TYPE = 10
    PROPERTY_USER_ID = 11
    PROPERTY_APP_ID = 12
    PROPERTY_CLUSTER_ID = 13
    PROPERTY_COUNT = 14

cdef enum:
    EXPIRATION_ABSENT = -1
    EXPIRATION_INVALID = -2         # there, but not a decimal number of milliseconds up to ten years

ctypedef struct span_t:
    uint32_t offset                 # from the start of the property list, after the field's own length prefix
    uint32_t size                   # bytes of content

ctypedef struct properties_t:
    uint16_t flags                  # as on the wire; see `properties_has`
    uint8_t delivery_mode           # 0 where absent
    uint8_t priority                # 0 where absent
    int64_t expiration_ms           # or EXPIRATION_ABSENT, EXPIRATION_INVALID
    uint64_t timestamp              # seconds since 1970; 0 where absent
    span_t fields[14]               # by PROPERTY_*, undefined where not `properties_has`; headers: the table's content

# Validates a whole property list and finds its fields. 0, or a negative PROPERTIES_* of field_table.pxd (then `found`
# is undefined).
cdef int properties_scan(const char* data, size_t size, properties_t* found) noexcept nogil


cdef inline bint properties_has(const properties_t* found, int index) noexcept nogil:
    return (found.flags & (0x8000 >> index)) != 0
