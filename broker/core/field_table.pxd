"""AMQP 0-9-1 field tables (§4.2.5.5): scanned, decoded, encoded. `field_table.pyi` shows the Python half."""

from libc.stddef cimport size_t
from libc.stdint cimport uint16_t, uint32_t, uint64_t, uint8_t

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    static inline uint16_t be16(const unsigned char* p) { return (uint16_t)(p[0] << 8 | p[1]); }
    static inline uint32_t be32(const unsigned char* p) { uint32_t v; memcpy(&v, p, 4); return __builtin_bswap32(v); }
    static inline uint64_t be64(const unsigned char* p) { uint64_t v; memcpy(&v, p, 8); return __builtin_bswap64(v); }
    static inline void be32_write(char* p, uint32_t v) { v = __builtin_bswap32(v); memcpy(p, &v, 4); }
    static inline void be64_write(char* p, uint64_t v) { v = __builtin_bswap64(v); memcpy(p, &v, 8); }
    static inline float be32_float(const unsigned char* p) {
        uint32_t v = be32(p); float f; memcpy(&f, &v, 4); return f;
    }
    static inline double be64_double(const unsigned char* p) {
        uint64_t v = be64(p); double d; memcpy(&d, &v, 8); return d;
    }
    static inline int first_bit(uint32_t v) { return __builtin_clz(v); }
    """
    uint16_t be16(const uint8_t* p) noexcept nogil
    uint32_t be32(const uint8_t* p) noexcept nogil
    uint64_t be64(const uint8_t* p) noexcept nogil
    void be32_write(char* p, uint32_t v) noexcept nogil
    void be64_write(char* p, uint64_t v) noexcept nogil
    float be32_float(const uint8_t* p) noexcept nogil
    double be64_double(const uint8_t* p) noexcept nogil
    int first_bit(uint32_t v) noexcept nogil

cdef enum:                          # what is wrong, where a scan does not return 0
    PROPERTIES_TRUNCATED = -1       # a field runs beyond the end
    PROPERTIES_UNKNOWN = -2         # a property flag that AMQP 0-9-1 does not define
    PROPERTIES_TRAILING = -3        # bytes after the last property
    PROPERTIES_TYPE_UNKNOWN = -4    # a field type that the dialect does not know
    PROPERTIES_TOO_DEEP = -5        # tables and arrays nested beyond TABLE_DEPTH_MAX

cdef enum:
    TABLE_DEPTH_MAX = 128           # nested tables and arrays; the outermost table counts as 1

# Validates the content of a field table (without its length). 0 or a negative PROPERTIES_*.
cdef int table_scan(const char* content, size_t size) noexcept nogil
# The content of a field table as a dict. Raises TableError.
cdef dict table_decode(const char* content, size_t size)
# One field's value out of a table's content; `missing` where it is not there. Raises TableError.
cdef object table_value(const char* content, size_t size, const char* name, size_t name_size, object missing)
# English for a negative PROPERTIES_*.
cdef str properties_error_text(int code)
# A str, or bytes where it is not UTF-8.
cdef object text_decode(const uint8_t* at, Py_ssize_t size)


cdef class Builder:
    """Bytes that grow at the end."""
    cdef char* bytes
    cdef size_t size
    cdef size_t capacity

    cdef char* reserve(self, size_t size) except NULL       # room for `size` bytes, which count as written
    cdef int write(self, const void* content, size_t size) except -1
    cdef int octet(self, uint8_t value) except -1
    cdef int sized(self, bytes content) except -1           # a u32 length and the content
    cdef int close_size(self, size_t start) except -1       # the u32 length of what came after `start`, written there
    cdef bytes build(self)

cdef bytes name_encode(object name)                         # a field's name, checked
cdef int field_encode(Builder out, bytes name, object value, int depth) except -1
cdef int table_encode(Builder out, object table, int depth) except -1


cdef inline int fixed_size(uint8_t kind) noexcept nogil:
    """Bytes of a field type whose size is fixed; -1: a u32 size follows; -2: unknown."""
    if kind == c'S' or kind == c'x' or kind == c'F' or kind == c'A':
        return -1
    if kind == c't' or kind == c'b' or kind == c'B':
        return 1
    if kind == c'I' or kind == c'i' or kind == c'f':
        return 4
    if kind == c'l' or kind == c'L' or kind == c'T' or kind == c'd':
        return 8
    if kind == c's' or kind == c'u':
        return 2
    if kind == c'D':
        return 5
    if kind == c'V':
        return 0
    return -2


cdef inline Py_ssize_t value_size(uint8_t kind, const uint8_t* value, const uint8_t* end) noexcept nogil:
    """Bytes of a value with its length prefix, without looking inside; or a negative PROPERTIES_*."""
    cdef int fixed = fixed_size(kind)
    cdef size_t size
    if fixed >= 0:
        return fixed if end - value >= fixed else PROPERTIES_TRUNCATED
    if fixed == -2:
        return PROPERTIES_TYPE_UNKNOWN
    if end - value < 4:
        return PROPERTIES_TRUNCATED
    size = be32(value)
    if <size_t>(end - value) - 4 < size:
        return PROPERTIES_TRUNCATED
    return <Py_ssize_t>(size + 4)
