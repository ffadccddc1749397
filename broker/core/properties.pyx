"""AMQP 0-9-1 content properties and field tables: scanned by offset, decoded only if someone asks.

Owns the binary form of both (AMQP 0-9-1 §4.2.5.5 and §4.2.6.1, with RabbitMQ's field types). Refuses to know what a
property means, which frame it came in, and whose message it is.

    properties   flags u16 [flags u16 …] │ the properties whose bit is set, in the order of the bits, highest first
    table        size u32 │ { name size u8, name, type u8, value }…
    array        size u32 │ { type u8, value }…

    t u8 bool    b i8   B u8   s i16   u u16   I i32   i u32   l i64   L i64   f f32   d f64
    D u8 places + i32   S u32 size + bytes   x u32 size + bytes   A array   F table   T u64   V nothing

Deviation: 's' is a signed 16-bit integer and no short string, 'L' is signed, because RabbitMQ and every client do so.
What Python cannot tell apart when it encodes: int is 'I', or 'l' beyond 32 bits; float is 'd'; bytes and str are 'S';
bytearray is 'x'. The surgery (`replace_headers`, `replace_properties`) copies what it does not change: types survive.

Invariants: nothing reads beyond the size it was given; recursion stops at TABLE_DEPTH_MAX; a name that is there twice
counts as its last occurrence.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.string cimport memcmp, memcpy, memset

from datetime import datetime, timezone
from decimal import Decimal

from broker.core.errors import TableError

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

cdef extern from "Python.h":
    unicode PyUnicode_DecodeUTF8(const char* s, Py_ssize_t size, const char* errors)

cdef enum:
    KIND_SHORTSTR = 0
    KIND_TABLE = 1
    KIND_OCTET = 2
    KIND_TIMESTAMP = 3

cdef enum:
    EXPIRATION_DIGITS_MAX = 18      # what fits into an int64 for certain

cdef int64_t EXPIRATION_MAX_MS = 315_360_000_000    # ten years: RabbitMQ's limit, and deadlines cannot overflow

cdef uint8_t KINDS[PROPERTY_COUNT]
memset(KINDS, KIND_SHORTSTR, PROPERTY_COUNT)
KINDS[<int>PROPERTY_HEADERS] = KIND_TABLE
KINDS[<int>PROPERTY_DELIVERY_MODE] = KIND_OCTET
KINDS[<int>PROPERTY_PRIORITY] = KIND_OCTET
KINDS[<int>PROPERTY_TIMESTAMP] = KIND_TIMESTAMP

PROPERTY_NAMES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id", "reply_to",
    "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)
cdef dict PROPERTY_INDEXES = {name: index for index, name in enumerate(PROPERTY_NAMES)}
cdef object NO_VALUE = object()


class Timestamp(int):
    """Seconds since 1970, carried by field type 'T'."""

    __slots__ = ()


class Long(int):
    """An integer that is carried by field type 'l' however small it is."""

    __slots__ = ()


# ── scanning ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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


cdef int64_t expiration_parse(const uint8_t* text, size_t size) noexcept nogil:
    """Decimal milliseconds; a leading '+' is RabbitMQ's leniency."""
    cdef int64_t value = 0
    cdef size_t at = 0
    if size > 1 and text[0] == c'+':
        at = 1
    if size == at or size - at > EXPIRATION_DIGITS_MAX:
        return EXPIRATION_INVALID
    while at < size:
        if text[at] < c'0' or text[at] > c'9':
            return EXPIRATION_INVALID
        value = value * 10 + (text[at] - c'0')
        at += 1
    return value if value <= EXPIRATION_MAX_MS else EXPIRATION_INVALID


cdef int properties_scan(const char* data, size_t size, properties_t* found) noexcept nogil:
    cdef const uint8_t* start = <const uint8_t*>data
    cdef const uint8_t* at = start + 2
    cdef const uint8_t* end = start + size
    cdef uint32_t flags, more, rest, length
    cdef int index, error
    if size < 2:
        return PROPERTIES_TRUNCATED
    flags = be16(start)
    memset(found, 0, sizeof(properties_t))
    found.flags = flags
    found.expiration_ms = EXPIRATION_ABSENT
    if flags & 2:
        return PROPERTIES_UNKNOWN
    more = flags & 1
    while more:                     # AMQP 0-9-1 §4.2.6.1: bit 0 says that another word of flags follows
        if end - at < 2:
            return PROPERTIES_TRUNCATED
        more = be16(at)
        if more & 0xFFFE:
            return PROPERTIES_UNKNOWN
        at += 2
    rest = (flags & 0xFFFC) << 16
    while rest:
        index = first_bit(rest)
        rest &= ~(<uint32_t>0x80000000 >> index)
        if KINDS[index] == KIND_SHORTSTR:
            if end - at < 1 or end - at - 1 < at[0]:
                return PROPERTIES_TRUNCATED
            length = at[0]
            at += 1
            if index == PROPERTY_EXPIRATION:
                found.expiration_ms = expiration_parse(at, length)
        elif KINDS[index] == KIND_OCTET:
            if end - at < 1:
                return PROPERTIES_TRUNCATED
            length = 1
            if index == PROPERTY_DELIVERY_MODE:
                found.delivery_mode = at[0]
            else:
                found.priority = at[0]
        elif KINDS[index] == KIND_TABLE:
            if end - at < 4 or <size_t>(end - at) - 4 < be32(at):
                return PROPERTIES_TRUNCATED
            length = be32(at)
            at += 4
            error = fields_scan(at, at + length, True, 1)
            if error != 0:
                return error
        else:
            if end - at < 8:
                return PROPERTIES_TRUNCATED
            length = 8
            found.timestamp = be64(at)
        found.fields[index].offset = <uint32_t>(at - start)
        found.fields[index].size = length
        at += length
    return 0 if at == end else PROPERTIES_TRAILING


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


cdef int properties_require(const uint8_t[::1] view, properties_t* found) except -1:
    """`properties_scan` for the cold paths: raises TableError."""
    cdef int error = PROPERTIES_TRUNCATED
    if view.shape[0] > 0:
        error = properties_scan(<const char*>&view[0], <size_t>view.shape[0], found)
    if error != 0:
        raise TableError(f"malformed properties: {properties_error_text(error)}")
    return 0


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


def decode_properties(const uint8_t[::1] raw not None):
    """The properties that are there, by the specification's names. Raises TableError."""
    cdef properties_t found
    cdef const uint8_t* at
    cdef dict properties = {}
    cdef int index
    properties_require(raw, &found)
    for index in range(PROPERTY_COUNT):
        if not properties_has(&found, index):
            continue
        at = &raw[0] + found.fields[index].offset
        if KINDS[index] == KIND_SHORTSTR:
            properties[PROPERTY_NAMES[index]] = text_decode(at, found.fields[index].size)
        elif KINDS[index] == KIND_TABLE:
            properties[PROPERTY_NAMES[index]] = fields_decode(at, at + found.fields[index].size, 1)
        elif KINDS[index] == KIND_OCTET:
            properties[PROPERTY_NAMES[index]] = at[0]
        else:
            properties[PROPERTY_NAMES[index]] = Timestamp(found.timestamp)
    return properties


def check_properties(const uint8_t[::1] raw not None):
    """Raise TableError where `raw` is not a well-formed property list."""
    cdef properties_t found
    properties_require(raw, &found)


def header_value(bytes raw_properties not None, str name not None, object missing=None):
    """One header, without decoding the others; `missing` where it is not there. Raises TableError."""
    cdef properties_t found
    cdef bytes key = name.encode("utf-8", "surrogateescape")
    properties_require(raw_properties, &found)
    return table_value(
        PyBytes_AS_STRING(raw_properties) + found.fields[<int>PROPERTY_HEADERS].offset,
        found.fields[<int>PROPERTY_HEADERS].size, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), missing)


def expiration_ms(bytes raw_properties not None):
    """The message's own time to live in milliseconds; -1 where absent, -2 where it is no number. Raises TableError."""
    cdef properties_t found
    properties_require(raw_properties, &found)
    return found.expiration_ms


# ── encoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

cdef class Builder:
    """Bytes that grow at the end."""

    cdef char* bytes
    cdef size_t size
    cdef size_t capacity

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


cdef int property_encode(Builder out, int index, object value) except -1:
    cdef bytes content
    if KINDS[index] == KIND_SHORTSTR:
        if not isinstance(value, (str, bytes)):
            raise TableError(f"{PROPERTY_NAMES[index]} must be str or bytes, not {type(value).__name__}")
        content = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        if len(content) > 255:
            raise TableError(f"{PROPERTY_NAMES[index]} is {len(content)} bytes long; at most 255 fit")
        out.octet(<uint8_t>len(content))
        return out.write(PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))
    if KINDS[index] == KIND_TABLE:
        if not hasattr(value, "items"):
            raise TableError(f"headers must be a mapping, not {type(value).__name__}")
        return table_encode(out, value, 1)
    if isinstance(value, datetime) and KINDS[index] == KIND_TIMESTAMP:
        value = int((value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)).timestamp())
    if not isinstance(value, int) or not 0 <= value < (1 << 8 if KINDS[index] == KIND_OCTET else 1 << 64):
        raise TableError(f"{PROPERTY_NAMES[index]} cannot be {value!r}")
    if KINDS[index] == KIND_OCTET:
        return out.octet(<uint8_t>value)
    be64_write(out.reserve(8), <uint64_t>value)
    return 0


def encode_properties(object properties not None):
    """A property list from the specification's names; None means absent. Raises TableError."""
    return replace_properties(b"\0\0", **properties)


# ── surgery ───────────────────────────────────────────────────────────────────────────────────────────────────────────

def replace_properties(bytes raw_properties not None, **changes):
    """The list with the named properties replaced, or removed where None; all others byte for byte.

    Raises TableError.
    """
    cdef properties_t found
    cdef Builder out = Builder()
    cdef uint32_t flags = 0
    cdef int index, prefix
    cdef object value
    properties_require(raw_properties, &found)
    for name in changes:
        if name not in PROPERTY_INDEXES:
            raise TableError(f"unknown property '{name}'")
    out.reserve(2)
    for index in range(PROPERTY_COUNT):
        value = changes.get(PROPERTY_NAMES[index], NO_VALUE)
        if value is NO_VALUE:
            if not properties_has(&found, index):
                continue
            prefix = 4 if KINDS[index] == KIND_TABLE else 1 if KINDS[index] == KIND_SHORTSTR else 0
            out.write(PyBytes_AS_STRING(raw_properties) + found.fields[index].offset - prefix,
                      found.fields[index].size + prefix)
        elif value is None:
            continue
        else:
            property_encode(out, index, value)
        flags |= <uint32_t>0x8000 >> index
    out.bytes[0] = <char>(flags >> 8)
    out.bytes[1] = <char>(flags & 0xFF)
    return out.build()


cdef int headers_copy(Builder out, const uint8_t* at, const uint8_t* end, dict pending, set removed) except -1:
    """Copies a scanned table's fields; those of `pending` with their new value, once, those of `removed` not at all."""
    cdef const uint8_t* field
    cdef bytes name
    cdef set written = set()
    while at < end:
        field = at
        name = PyBytes_FromStringAndSize(<const char*>at + 1, at[0])
        at += <Py_ssize_t>at[0] + 1
        at += 1 + value_size(at[0], at + 1, end)
        if name in removed or name in written:
            continue
        if name in pending:
            field_encode(out, name, pending.pop(name), 1)
            written.add(name)
        else:
            out.write(field, at - field)
    return 0


def replace_headers(bytes raw_properties not None, object changes not None, object remove=()):
    """The list with some headers set (in place, or else at the end) and some removed.

    Every other header and property stays byte for byte, so that field types do not change. Raises TableError.
    """
    cdef properties_t found
    cdef Builder out = Builder()
    cdef const uint8_t* raw = <const uint8_t*>PyBytes_AS_STRING(raw_properties)
    cdef const uint8_t* at
    cdef size_t start, tail
    cdef dict pending = {name_encode(name): value for name, value in changes.items()}
    cdef set removed = {name_encode(name) for name in remove}
    cdef int index
    properties_require(raw_properties, &found)
    if not pending and not properties_has(&found, PROPERTY_HEADERS):
        return raw_properties
    tail = 2
    while raw[tail - 1] & 1:        # words of flags that follow the first: copied with the head
        tail += 2
    for index in range(PROPERTY_HEADERS):
        if properties_has(&found, index):
            tail = found.fields[index].offset + found.fields[index].size
    out.write(raw, tail)
    out.bytes[0] = <char>(raw[0] | 0x20)
    start = out.size
    out.reserve(4)
    if properties_has(&found, PROPERTY_HEADERS):
        at = raw + found.fields[<int>PROPERTY_HEADERS].offset
        headers_copy(out, at, at + found.fields[<int>PROPERTY_HEADERS].size, pending, removed)
        tail = found.fields[<int>PROPERTY_HEADERS].offset + found.fields[<int>PROPERTY_HEADERS].size
    for name, value in pending.items():
        if name not in removed:
            field_encode(out, name, value, 1)
    out.close_size(start)
    out.write(raw + tail, PyBytes_GET_SIZE(raw_properties) - tail)
    return out.build()
