"""AMQP 0-9-1 field tables: scanned without objects, decoded and encoded for the cold paths.

Owns the binary form of tables, arrays and their values (AMQP 0-9-1 §4.2.5.5, with RabbitMQ's field types). Refuses to
know what a field means and where the table stood.

    table   size u32 │ { name size u8, name, type u8, value }…
    array   size u32 │ { type u8, value }…

    t u8 bool    b i8   B u8   s i16   u u16   I i32   i u32   l i64   L i64   f f32   d f64
    D u8 places + i32   S u32 size + bytes   x u32 size + bytes   A array   F table   T u64   V nothing

Deviation: 's' is a signed 16-bit integer and no short string, 'L' is signed, because RabbitMQ and every client do so.
What Python cannot tell apart when it encodes: int is 'I', or 'l' beyond 32 bits; float is 'd'; bytes and str are 'S';
bytearray is 'x'.

Invariants: nothing reads beyond the size it was given; recursion stops at TABLE_DEPTH_MAX; a name that is there twice
counts as its last occurrence.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.stdint cimport int64_t
from libc.string cimport memcmp, memcpy

from datetime import datetime, timezone
from decimal import Decimal

from broker.core.errors import TableError

cdef extern from "Python.h":
    unicode PyUnicode_DecodeUTF8(const char* s, Py_ssize_t size, const char* errors)


class Timestamp(int):
    """Seconds since 1970, carried by field type 'T'."""

    __slots__ = ()


class Long(int):
    """An integer that is carried by field type 'l' however small it is."""

    __slots__ = ()


# ── scanning ──────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int fields_scan(const uint8_t* at, const uint8_t* end, bint named, int depth) noexcept nogil:
    """Validates what is inside a table (`named`) or an array."""
    cdef Py_ssize_t size
    cdef uint8_t kind
    cdef int error
    if depth > TABLE_DEPTH_MAX:
        return PROPERTIES_TOO_DEEP
    while at < end:
        if named:
            if end - at < <Py_ssize_t>at[0] + 2:
                return PROPERTIES_TRUNCATED
            at += <Py_ssize_t>at[0] + 1
        kind = at[0]
        at += 1
        size = value_size(kind, at, end)
        if size < 0:
            return <int>size
        if kind == c'F' or kind == c'A':
            error = fields_scan(at + 4, at + size, kind == c'F', depth + 1)
            if error != 0:
                return error
        at += size
    return 0


cdef int table_scan(const char* content, size_t size) noexcept nogil:
    return fields_scan(<const uint8_t*>content, <const uint8_t*>content + size, True, 1)


cdef str properties_error_text(int code):
    if code == PROPERTIES_TRUNCATED:
        return "a field runs beyond the end"
    if code == PROPERTIES_UNKNOWN:
        return "unknown property flag"
    if code == PROPERTIES_TRAILING:
        return "bytes after the last property"
    if code == PROPERTIES_TYPE_UNKNOWN:
        return "unknown field type"
    if code == PROPERTIES_TOO_DEEP:
        return f"tables nested more than {TABLE_DEPTH_MAX} deep"
    return "malformed"


# ── decoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef object text_decode(const uint8_t* at, Py_ssize_t size):
    """A str, or bytes where it is not UTF-8."""
    try:
        return PyUnicode_DecodeUTF8(<const char*>at, size, NULL)
    except UnicodeDecodeError:
        return PyBytes_FromStringAndSize(<const char*>at, size)


cdef object value_decode(uint8_t kind, const uint8_t* at, Py_ssize_t size, int depth):
    """One value. `size` is what `value_size` gave, so that reading it stays inside."""
    if kind == c'S':
        return text_decode(at + 4, size - 4)
    if kind == c't':
        return at[0] != 0
    if kind == c'I':
        return <int>be32(at)
    if kind == c'F':
        return fields_decode(at + 4, at + size, depth + 1)
    if kind == c'l' or kind == c'L':
        return <int64_t>be64(at)
    if kind == c'T':
        return Timestamp(be64(at))
    if kind == c'A':
        return array_decode(at + 4, at + size, depth + 1)
    if kind == c'V':
        return None
    if kind == c'd':
        return be64_double(at)
    if kind == c'b':
        return <signed char>at[0]
    if kind == c'B':
        return at[0]
    if kind == c's':
        return <short>be16(at)
    if kind == c'u':
        return be16(at)
    if kind == c'i':
        return be32(at)
    if kind == c'f':
        return <double>be32_float(at)
    if kind == c'D':
        return Decimal(<int>be32(at + 1)).scaleb(-<int>at[0])
    return bytearray(PyBytes_FromStringAndSize(<const char*>at + 4, size - 4))


cdef TableError_raise(int code):
    raise TableError(f"malformed table: {properties_error_text(code)}")


cdef dict fields_decode(const uint8_t* at, const uint8_t* end, int depth):
    cdef dict table = {}
    cdef Py_ssize_t size
    cdef uint8_t kind
    cdef object name
    if depth > TABLE_DEPTH_MAX:
        TableError_raise(PROPERTIES_TOO_DEEP)
    while at < end:
        if end - at < <Py_ssize_t>at[0] + 2:
            TableError_raise(PROPERTIES_TRUNCATED)
        # A name that is not UTF-8 must come back as it was when the table is encoded again.
        name = PyUnicode_DecodeUTF8(<const char*>at + 1, at[0], "surrogateescape")
        at += <Py_ssize_t>at[0] + 1
        kind = at[0]
        at += 1
        size = value_size(kind, at, end)
        if size < 0:
            TableError_raise(<int>size)
        table[name] = value_decode(kind, at, size, depth)
        at += size
    return table


cdef list array_decode(const uint8_t* at, const uint8_t* end, int depth):
    cdef list values = []
    cdef Py_ssize_t size
    cdef uint8_t kind
    if depth > TABLE_DEPTH_MAX:
        TableError_raise(PROPERTIES_TOO_DEEP)
    while at < end:
        kind = at[0]
        at += 1
        size = value_size(kind, at, end)
        if size < 0:
            TableError_raise(<int>size)
        values.append(value_decode(kind, at, size, depth))
        at += size
    return values


cdef dict table_decode(const char* content, size_t size):
    return fields_decode(<const uint8_t*>content, <const uint8_t*>content + size, 1)


cdef object table_value(const char* content, size_t size, const char* name, size_t name_size, object missing):
    cdef const uint8_t* at = <const uint8_t*>content
    cdef const uint8_t* end = at + size
    cdef const uint8_t* value = NULL
    cdef Py_ssize_t length = 0, value_length = 0
    cdef uint8_t kind = 0
    cdef bint same
    while at < end:
        if end - at < <Py_ssize_t>at[0] + 2:
            TableError_raise(PROPERTIES_TRUNCATED)
        same = at[0] == name_size and memcmp(at + 1, name, name_size) == 0
        at += <Py_ssize_t>at[0] + 1
        length = value_size(at[0], at + 1, end)
        if length < 0:
            TableError_raise(<int>length)
        if same:
            kind, value, value_length = at[0], at + 1, length
        at += 1 + length
    if value == NULL:
        return missing
    return value_decode(kind, value, value_length, 1)


def decode_table(const uint8_t[::1] raw not None):
    """A field table as `encode_table` gives it: u32 size and content, nothing after it. Raises TableError."""
    if raw.shape[0] < 4 or <size_t>be32(&raw[0]) != <size_t>raw.shape[0] - 4:
        raise TableError("malformed table: its size is not the size of what is there")
    return fields_decode(&raw[0] + 4, &raw[0] + raw.shape[0], 1)


# ── encoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef class Builder:
    def __dealloc__(self):
        PyMem_Free(self.bytes)

    cdef char* reserve(self, size_t size) except NULL:
        """Room for `size` bytes, which count as written."""
        cdef size_t capacity
        cdef char* grown
        if self.capacity - self.size < size:
            capacity = (self.size + size) * 2 + 64
            grown = <char*>PyMem_Realloc(self.bytes, capacity)
            if grown == NULL:
                raise MemoryError
            self.bytes = grown
            self.capacity = capacity
        self.size += size
        return self.bytes + self.size - size

    cdef int write(self, const void* content, size_t size) except -1:
        memcpy(self.reserve(size), content, size)
        return 0

    cdef int octet(self, uint8_t value) except -1:
        self.reserve(1)[0] = <char>value
        return 0

    cdef int sized(self, bytes content) except -1:
        """A u32 length and the content."""
        if PyBytes_GET_SIZE(content) > 0xFFFFFFFF:
            raise TableError("a value is longer than 2^32 bytes")
        be32_write(self.reserve(4), <uint32_t>PyBytes_GET_SIZE(content))
        return self.write(PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))

    cdef int close_size(self, size_t start) except -1:
        """Writes the u32 size of what came after it, at `start`, where room was left."""
        if self.size - start - 4 > 0xFFFFFFFF:
            raise TableError("a table is longer than 2^32 bytes")
        be32_write(self.bytes + start, <uint32_t>(self.size - start - 4))
        return 0

    cdef bytes build(self):
        return PyBytes_FromStringAndSize(self.bytes, self.size)


cdef bytes name_encode(object name):
    cdef bytes encoded
    if not isinstance(name, str):
        raise TableError(f"a field name must be str, not {type(name).__name__}")
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > 255:
        raise TableError(f"a field name is {len(encoded)} bytes long; at most 255 fit")
    return encoded


cdef int integer_encode(Builder out, object value) except -1:
    if isinstance(value, Timestamp):
        if not 0 <= value < 1 << 64:
            raise TableError(f"timestamp {int(value)} is outside 0..2^64-1")
        out.octet(c'T')
        be64_write(out.reserve(8), <uint64_t>value)
    elif -0x80000000 <= value <= 0x7FFFFFFF and not isinstance(value, Long):
        out.octet(c'I')
        be32_write(out.reserve(4), <uint32_t><int>value)
    elif -(1 << 63) <= value < 1 << 63:
        out.octet(c'l')
        be64_write(out.reserve(8), <uint64_t><int64_t>value)
    else:
        raise TableError(f"integer {value} does not fit into 64 bits")
    return 0


cdef int decimal_encode(Builder out, object value) except -1:
    """Places u8 and a signed 32-bit number (AMQP 0-9-1 §4.2.5.5)."""
    cdef int places
    if not value.is_finite():
        raise TableError(f"decimal {value} is not a number")
    places = max(0, -value.as_tuple().exponent)
    unscaled = int(value.scaleb(places))
    if places > 255 or not -0x80000000 <= unscaled <= 0x7FFFFFFF:
        raise TableError(f"decimal {value} does not fit into 32 bits")
    out.octet(c'D')
    out.octet(<uint8_t>places)
    be32_write(out.reserve(4), <uint32_t><int>unscaled)
    return 0


cdef int value_encode(Builder out, object value, int depth) except -1:
    """Type octet and value."""
    cdef double number
    cdef uint64_t bits
    if isinstance(value, str):
        out.octet(c'S')
        out.sized(value.encode("utf-8", "surrogateescape"))
    elif isinstance(value, bool):
        out.octet(c't')
        out.octet(<uint8_t>(1 if value else 0))
    elif isinstance(value, int):
        integer_encode(out, value)
    elif isinstance(value, dict):
        out.octet(c'F')
        table_encode(out, value, depth + 1)
    elif isinstance(value, (list, tuple)):
        out.octet(c'A')
        array_encode(out, value, depth + 1)
    elif value is None:
        out.octet(c'V')
    elif isinstance(value, bytes):
        out.octet(c'S')
        out.sized(bytes(value))
    elif isinstance(value, float):
        number = value
        memcpy(&bits, &number, 8)
        out.octet(c'd')
        be64_write(out.reserve(8), bits)
    elif isinstance(value, bytearray):
        out.octet(c'x')
        out.sized(bytes(value))
    elif isinstance(value, Decimal):
        decimal_encode(out, value)
    elif isinstance(value, datetime):
        zoned = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        integer_encode(out, Timestamp(int(zoned.timestamp())))
    else:
        raise TableError(f"no field type carries a {type(value).__name__}")
    return 0


cdef int field_encode(Builder out, bytes name, object value, int depth) except -1:
    out.octet(<uint8_t>PyBytes_GET_SIZE(name))
    out.write(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    return value_encode(out, value, depth)


cdef int table_encode(Builder out, object table, int depth) except -1:
    cdef size_t start = out.size
    if depth > TABLE_DEPTH_MAX:
        TableError_raise(PROPERTIES_TOO_DEEP)
    out.reserve(4)
    for name, value in table.items():
        field_encode(out, name_encode(name), value, depth)
    return out.close_size(start)


cdef int array_encode(Builder out, object values, int depth) except -1:
    cdef size_t start = out.size
    if depth > TABLE_DEPTH_MAX:
        TableError_raise(PROPERTIES_TOO_DEEP)
    out.reserve(4)
    for value in values:
        value_encode(out, value, depth)
    return out.close_size(start)


def encode_table(object table not None):
    """A field table: u32 size and content. Raises TableError for what no field type carries."""
    cdef Builder out = Builder()
    table_encode(out, table, 1)
    return out.build()
