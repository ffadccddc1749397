"""AMQP 0-9-1 content properties: scanned by offset, decoded only if someone asks, changed byte by byte.

Owns the binary form of a property list (AMQP 0-9-1 §4.2.6.1). Refuses to know what a property means, which frame it
came in, and whose message it is. What stands inside the headers is `field_table`'s.

    flags u16 [flags u16 …] │ the properties whose bit is set, in the order of the bits, highest first

The surgery (`replace_headers`, `replace_properties`) copies what it does not change, so that field types survive.

Invariant: nothing reads beyond the size it was given.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memset

from broker.core.field_table cimport (
    PROPERTIES_TRAILING, PROPERTIES_TRUNCATED, PROPERTIES_UNKNOWN, Builder, be16, be32, be64, be64_write, field_encode,
    first_bit, name_encode, properties_error_text, table_decode, table_encode, table_scan, table_value, text_decode,
    value_size,
)

from datetime import datetime, timezone

from broker.core.errors import TableError
from broker.core.field_table import Long, Timestamp, decode_table, encode_table

__all__ = [
    "PROPERTY_NAMES", "Long", "Timestamp", "check_properties", "decode_properties", "decode_table", "encode_properties",
    "encode_table", "expiration_ms", "header_value", "replace_headers", "replace_properties",
]

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


# ── scanning ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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
    found.flags = flags
    found.delivery_mode = found.priority = 0
    found.timestamp = 0
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
            error = table_scan(<const char*>at, length)
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


cdef int properties_require(const uint8_t[::1] view, properties_t* found) except -1:
    """`properties_scan` for the cold paths: raises TableError."""
    cdef int error = PROPERTIES_TRUNCATED
    if view.shape[0] > 0:
        error = properties_scan(<const char*>&view[0], <size_t>view.shape[0], found)
    if error != 0:
        raise TableError(f"malformed properties: {properties_error_text(error)}")
    return 0


# ── decoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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
            properties[PROPERTY_NAMES[index]] = table_decode(<const char*>at, found.fields[index].size)
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
    if not properties_has(&found, PROPERTY_HEADERS):
        return missing
    return table_value(
        PyBytes_AS_STRING(raw_properties) + found.fields[<int>PROPERTY_HEADERS].offset,
        found.fields[<int>PROPERTY_HEADERS].size, PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), missing)


def expiration_ms(bytes raw_properties not None):
    """The message's own time to live in milliseconds; -1 where absent, -2 where it is no number. Raises TableError."""
    cdef properties_t found
    properties_require(raw_properties, &found)
    return found.expiration_ms


# ── encoding ──────────────────────────────────────────────────────────────────────────────────────────────────────────

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


def add_headers(bytes raw_properties not None, bytes table not None):
    """The list, which has no headers, with this field table as its headers. Raises TableError."""
    cdef properties_t found
    cdef Builder out = Builder()
    cdef const uint8_t* raw = <const uint8_t*>PyBytes_AS_STRING(raw_properties)
    cdef size_t tail
    properties_require(raw_properties, &found)
    assert not properties_has(&found, PROPERTY_HEADERS)
    tail = headers_place(raw, &found)
    out.write(raw, tail)
    out.bytes[0] = <char>(raw[0] | 0x20)
    out.write(PyBytes_AS_STRING(table), PyBytes_GET_SIZE(table))
    out.write(raw + tail, PyBytes_GET_SIZE(raw_properties) - tail)
    return out.build()


cdef size_t headers_place(const uint8_t* raw, properties_t* found) noexcept:
    """Where in a scanned list the headers stand, or would."""
    cdef size_t place = 2
    cdef int index
    while raw[place - 1] & 1:       # words of flags that follow the first
        place += 2
    for index in range(PROPERTY_HEADERS):
        if properties_has(found, index):
            place = found.fields[index].offset + found.fields[index].size
    return place


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
    properties_require(raw_properties, &found)
    if not pending and not properties_has(&found, PROPERTY_HEADERS):
        return raw_properties
    tail = headers_place(raw, &found)
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
