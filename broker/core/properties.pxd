"""AMQP 0-9-1 content properties (§4.2.6.1) and field tables (§4.2.5.5): the canonical property format of the core.

The hot half of the interface: offsets, no objects. `properties.pyi` shows the Python half.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

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

cdef enum:                          # what `properties_scan` and `table_scan` return where not 0
    PROPERTIES_TRUNCATED = -1       # a field runs beyond the end
    PROPERTIES_UNKNOWN = -2         # a property flag that AMQP 0-9-1 does not define
    PROPERTIES_TRAILING = -3        # bytes after the last property
    PROPERTIES_TYPE_UNKNOWN = -4    # a field type that the dialect does not know
    PROPERTIES_TOO_DEEP = -5        # tables and arrays nested beyond TABLE_DEPTH_MAX

cdef enum:
    TABLE_DEPTH_MAX = 128           # nested tables and arrays, the outermost table counts as 1
    EXPIRATION_ABSENT = -1
    EXPIRATION_INVALID = -2         # there, but not a decimal number of milliseconds up to ten years

ctypedef struct span_t:
    uint32_t offset                 # from the start of the property list, after the field's own length prefix
    uint32_t size                   # bytes of content; 0 where the property is absent or empty

ctypedef struct properties_t:
    uint16_t flags                  # as on the wire; see `properties_has`
    uint8_t delivery_mode           # 0 where absent
    uint8_t priority                # 0 where absent
    int64_t expiration_ms           # or EXPIRATION_ABSENT, EXPIRATION_INVALID
    uint64_t timestamp              # seconds since 1970; 0 where absent
    span_t fields[14]               # PROPERTY_*; headers: the content of the table

# Validates a whole property list and finds its fields. 0, or a negative PROPERTIES_* (then `found` is undefined).
cdef int properties_scan(const char* data, size_t size, properties_t* found) noexcept nogil
# Validates the content of a field table (without its length). 0 or a negative PROPERTIES_*.
cdef int table_scan(const char* content, size_t size) noexcept nogil
# English for a negative PROPERTIES_*.
cdef str properties_error_text(int code)

# The content of a field table, without its length, as a dict. Raises TableError.
cdef dict table_decode(const char* content, size_t size)
# One header's value out of a table's content; `missing` where it is not there. Raises TableError.
cdef object table_value(const char* content, size_t size, const char* name, size_t name_size, object missing)


cdef inline bint properties_has(const properties_t* found, int index) noexcept nogil:
    return (found.flags & (0x8000 >> index)) != 0
