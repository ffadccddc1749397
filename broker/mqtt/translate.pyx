"""The boundary between MQTT's words and the core's: properties of a message both ways, topics, errors.

The only file of this dialect that knows both vocabularies. From MQTT to MQTT nothing is lost: user properties keep
their order and their duplicates, correlation data may be any bytes, a response topic may have any length.

    MQTT 5                      AMQP 0-9-1
    topic name                  routing key, '/' and '.', '+' and '*' swapped; beyond 255 bytes also x-mqtt-topic
    QoS 0 │ 1, 2                delivery-mode 1 │ 2
    content type                content-type (beyond 255 bytes: header x-mqtt-content-type)
    correlation data            correlation-id; header x-correlation-id where it is too long or not UTF-8 (RabbitMQ)
    response topic              header x-reply-to-topic, as a routing key (RabbitMQ)
    $reply-to/NAME          ◀── reply-to NAME, where the broker made that name: only who was told can know it. What is
                                published there, the core hands to that queue
    message expiry interval     expiration (seconds, milliseconds rounded up; at most ten years)
    payload format indicator    header x-mqtt-payload-format
    user property               header, a long string; x-mqtt-user-property [name, value] where no header can have the
                                name, or where it would mean something
    user property           ◀── headers of all types as text, tables and arrays as JSON; message-id, timestamp, type,
                                app-id, priority, content-encoding, user-id, and reply-to where it is no response topic

Deviation: an interval of more than ten years becomes ten years, because the core's deadlines end there. What is not
text, or longer than 65535 bytes, has no place in MQTT and is left out.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint8_t
from libc.string cimport memcmp, memset

from broker.core.field_table cimport Builder, be32, value_size
from broker.core.properties cimport (
    PROPERTY_APP_ID, PROPERTY_CONTENT_ENCODING, PROPERTY_CONTENT_TYPE, PROPERTY_CORRELATION_ID, PROPERTY_HEADERS,
    PROPERTY_MESSAGE_ID, PROPERTY_PRIORITY, PROPERTY_REPLY_TO, PROPERTY_TIMESTAMP, PROPERTY_TYPE, PROPERTY_USER_ID,
    properties_has, properties_scan, properties_t,
)
from broker.mqtt.publish_properties cimport (
    CONTENT_TYPE, CORRELATION_DATA, PAYLOAD_FORMAT, RESPONSE_TOPIC, USER_PROPERTY, fixed_bytes, publish_properties_scan,
    publish_properties_t, read_string, text_t,
)
from broker.mqtt.utf8 cimport utf8_is_valid

import base64
import json

from broker.core import errors
from broker.core.field_table import decode_table
from broker.core.properties import expiration_ms
from broker.mqtt.properties import Packet, Properties, decode_properties, encode_properties
from broker.mqtt.publish_properties import check_publish
from broker.mqtt.reasons import MqttError, Reason

cdef enum:
    SHORT_MAX = 255                 # bytes of a short string of AMQP, and of a header's name
    TEXT_MAX = 65535                # bytes of a string of MQTT

cdef int64_t EXPIRY_MAX_S = 315_360_000     # ten years, the core's limit

cdef bytes TOPIC_HEADER = b"x-mqtt-topic"
cdef bytes CONTENT_TYPE_HEADER = b"x-mqtt-content-type"
cdef bytes FORMAT_HEADER = b"x-mqtt-payload-format"
cdef bytes PAIR_HEADER = b"x-mqtt-user-property"
cdef bytes REPLY_HEADER = b"x-reply-to-topic"
cdef bytes CORRELATION_HEADER = b"x-correlation-id"
cdef frozenset OWN_HEADERS = frozenset(
    (TOPIC_HEADER, CONTENT_TYPE_HEADER, FORMAT_HEADER, PAIR_HEADER, REPLY_HEADER, CORRELATION_HEADER))
# Headers that mean something to the core or to this file: a user property of that name must not.
cdef frozenset RESERVED = OWN_HEADERS | {b"CC", b"BCC", b"x-delay", b"x-death"}

REPLY_TOPIC = b"$reply-to/"
"""Where an MQTT client answers to a reply-to of AMQP."""
cdef tuple MADE_NAMES = (b"amq.gen-", b"amq.rabbitmq.reply-to.")
cdef bytes SWAP = bytes.maketrans(b"/.+*", b"./*+")

# Properties without a place of their own in MQTT, under the specification's names.
cdef tuple OTHERS = (
    (PROPERTY_MESSAGE_ID, b"message-id"), (PROPERTY_TYPE, b"type"), (PROPERTY_APP_ID, b"app-id"),
    (PROPERTY_CONTENT_ENCODING, b"content-encoding"), (PROPERTY_USER_ID, b"user-id"),
)


def swapped(bytes topic not None):
    """A topic as a routing key, a filter as a binding key; and back."""
    return topic.translate(SWAP)


# ── MQTT to AMQP ──────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int put_name(Builder out, const uint8_t* name, size_t size, uint8_t kind) except -1:
    out.octet(<uint8_t>size)
    out.write(name, size)
    return out.octet(kind)


cdef int put_long(Builder out, const uint8_t* content, size_t size) except -1:
    cdef size_t start = out.size
    out.reserve(4)
    out.write(content, size)
    return out.close_size(start)


cdef int put_header(Builder out, bytes name, const uint8_t* content, size_t size) except -1:
    """A long string."""
    put_name(out, <const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), c'S')
    return put_long(out, content, size)


cdef int put_swapped(Builder out, bytes name, const uint8_t* topic, size_t size) except -1:
    cdef bytes key = PyBytes_FromStringAndSize(<const char*>topic, size).translate(SWAP)
    return put_header(out, name, <const uint8_t*>PyBytes_AS_STRING(key), size)


cdef inline bint may_be_reserved(const uint8_t* name, size_t size) noexcept nogil:
    """True for every name of RESERVED, and few others."""
    return size > 1 and ((name[0] == c'x' and name[1] == c'-') or (name[0] != c'x' and name[size - 1] == c'C'))


cdef int put_user_property(Builder out, const text_t* name, const text_t* value) except -1:
    cdef size_t start
    if 0 < name.size <= SHORT_MAX and not (
            may_be_reserved(name.at, name.size)
            and PyBytes_FromStringAndSize(<const char*>name.at, name.size) in RESERVED):
        put_name(out, name.at, name.size, c'S')
        return put_long(out, value.at, value.size)
    put_name(out, <const uint8_t*>PyBytes_AS_STRING(PAIR_HEADER), PyBytes_GET_SIZE(PAIR_HEADER), c'A')
    start = out.size
    out.reserve(4)
    out.octet(c'S')
    put_long(out, name.at, name.size)
    out.octet(c'S')
    put_long(out, value.at, value.size)
    return out.close_size(start)


cdef int put_user_properties(Builder out, const publish_properties_t* found) except -1:
    """Walks what was scanned."""
    cdef const uint8_t* at = found.start
    cdef uint8_t identifier
    cdef text_t name, value
    memset(&name, 0, sizeof(text_t))
    memset(&value, 0, sizeof(text_t))
    while at < found.end:
        identifier = at[0]
        at += 1
        if identifier == USER_PROPERTY:
            read_string(&at, found.end, &name, False)
            read_string(&at, found.end, &value, False)
            put_user_property(out, &name, &value)
        elif fixed_bytes(identifier):
            at += fixed_bytes(identifier)
        else:
            read_string(&at, found.end, &name, False)
    return 0


cdef int put_headers(Builder out, const publish_properties_t* found, bint long_type, bint long_correlation,
                     const char* topic, size_t topic_size) except -1:
    """The headers table, or nothing where it would be empty. Returns whether it is there."""
    cdef size_t start = out.size
    out.reserve(4)
    if topic_size > SHORT_MAX:
        put_header(out, TOPIC_HEADER, <const uint8_t*>topic, topic_size)
    if found.response_topic.at != NULL:
        put_swapped(out, REPLY_HEADER, found.response_topic.at, found.response_topic.size)
    if long_correlation:
        put_header(out, CORRELATION_HEADER, found.correlation_data.at, found.correlation_data.size)
    if long_type:
        put_header(out, CONTENT_TYPE_HEADER, found.content_type.at, found.content_type.size)
    if found.payload_format >= 0:
        put_name(out, <const uint8_t*>PyBytes_AS_STRING(FORMAT_HEADER), PyBytes_GET_SIZE(FORMAT_HEADER), c'B')
        out.octet(<uint8_t>found.payload_format)
    if found.user_properties:
        put_user_properties(out, found)
    if out.size == start + 4:
        out.size = start
        return 0
    out.close_size(start)
    return 1


cdef int put_short(Builder out, const uint8_t* content, size_t size) except -1:
    out.octet(<uint8_t>size)
    return out.write(content, size)


cdef bytes publish_properties_to_amqp(const publish_properties_t* found, int qos, const char* topic,
                                      size_t topic_size):
    cdef Builder out = Builder()
    cdef uint16_t flags = 0x8000 >> 3                           # delivery-mode, always
    cdef bint has_type = found.content_type.at != NULL, has_correlation = found.correlation_data.at != NULL
    cdef bint long_type = has_type and found.content_type.size > SHORT_MAX
    cdef bint long_correlation = has_correlation and (
        found.correlation_data.size > SHORT_MAX
        or not utf8_is_valid(found.correlation_data.at, found.correlation_data.size))
    cdef bytes expiration
    out.reserve(2)
    if has_type and not long_type:
        flags |= 0x8000 >> <int>PROPERTY_CONTENT_TYPE
        put_short(out, found.content_type.at, found.content_type.size)
    if put_headers(out, found, long_type, long_correlation, topic, topic_size):
        flags |= 0x8000 >> <int>PROPERTY_HEADERS
    out.octet(2 if qos > 0 else 1)
    if has_correlation and not long_correlation:
        flags |= 0x8000 >> <int>PROPERTY_CORRELATION_ID
        put_short(out, found.correlation_data.at, found.correlation_data.size)
    if found.expiry_s >= 0:
        flags |= 0x8000 >> 7                                    # expiration
        expiration = b"%d" % (min(found.expiry_s, EXPIRY_MAX_S) * 1000)
        put_short(out, <const uint8_t*>PyBytes_AS_STRING(expiration), PyBytes_GET_SIZE(expiration))
    out.bytes[0] = <char>(flags >> 8)
    out.bytes[1] = <char>(flags & 0xFF)
    return out.build()


# ── AMQP to MQTT ──────────────────────────────────────────────────────────────────────────────────────────────────────

cdef int put_u16(Builder out, size_t value) except -1:
    out.octet(<uint8_t>(value >> 8))
    return out.octet(<uint8_t>(value & 0xFF))


cdef int put_property(Builder out, uint8_t identifier, const uint8_t* content, size_t size, bint is_text) except -1:
    """A string or binary data; nothing where MQTT has no place for it."""
    if size > TEXT_MAX or (is_text and not utf8_is_valid(content, size)):
        return 0
    out.octet(identifier)
    put_u16(out, size)
    return out.write(content, size)


cdef int put_pair(Builder out, const uint8_t* name, size_t name_size, const uint8_t* value, size_t size) except -1:
    if name_size > TEXT_MAX or size > TEXT_MAX or not utf8_is_valid(name, name_size) or not utf8_is_valid(value, size):
        return 0
    out.octet(USER_PROPERTY)
    put_u16(out, name_size)
    out.write(name, name_size)
    put_u16(out, size)
    return out.write(value, size)


cdef int put_text_pair(Builder out, bytes name, bytes value) except -1:
    return put_pair(out, <const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                    <const uint8_t*>PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))


cdef int put_topic(Builder out, bytes topic) except -1:
    if topic and b"+" not in topic and b"#" not in topic:       # [MQTT-3.3.2-14]
        put_property(out, RESPONSE_TOPIC, <const uint8_t*>PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic), True)
    return 0


def json_form(value):
    """What JSON has no word for: bytes as base64, the rest as text."""
    return base64.b64encode(value).decode() if isinstance(value, (bytes, bytearray)) else str(value)


cdef bytes value_text(uint8_t kind, const uint8_t* at, Py_ssize_t size):
    """A header's value as text, decoded the slow way."""
    cdef bytes field = b"\x01v" + bytes((kind,)) + PyBytes_FromStringAndSize(<const char*>at, size)
    value = decode_table(len(field).to_bytes(4, "big") + field)["v"]
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=json_form, ensure_ascii=False).encode("utf-8", "replace")
    if isinstance(value, bytearray):
        return bytes(value)
    return str(value).encode()


cdef int put_own_header(Builder out, bytes name, uint8_t kind, const uint8_t* value, Py_ssize_t size,
                        bint has_correlation) except -1:
    """A header of this file's own making; or, where its type is another, one that only looks like it."""
    cdef uint32_t length
    if name == TOPIC_HEADER:
        return 0
    if name == FORMAT_HEADER and kind == c'B' and value[0] <= 1:
        out.octet(PAYLOAD_FORMAT)
        return out.octet(value[0])
    if name == PAIR_HEADER and kind == c'A' and pair_sizes(value, size, &length):
        return put_pair(out, value + 9, length, value + 14 + length, size - 14 - length)
    if kind == c'S':
        if name == REPLY_HEADER:
            return put_topic(out, PyBytes_FromStringAndSize(<const char*>value + 4, size - 4).translate(SWAP))
        if name == CORRELATION_HEADER and not has_correlation:
            return put_property(out, CORRELATION_DATA, value + 4, size - 4, False)
        if name == CONTENT_TYPE_HEADER:
            return put_property(out, CONTENT_TYPE, value + 4, size - 4, True)
    return put_text_pair(out, name, value_text(kind, value, size))


cdef bint pair_sizes(const uint8_t* value, Py_ssize_t size, uint32_t* name_size) noexcept nogil:
    """Whether an array is two long strings, and how long the first is."""
    if size < 14 or value[4] != c'S':
        return False
    name_size[0] = be32(value + 5)
    if <Py_ssize_t>name_size[0] > size - 14 or value[9 + name_size[0]] != c'S':
        return False
    return <Py_ssize_t>be32(value + 10 + name_size[0]) == size - 14 - <Py_ssize_t>name_size[0]


cdef bint is_own(const uint8_t* name, size_t size):
    return size > 2 and name[0] == c'x' and name[1] == c'-' \
        and PyBytes_FromStringAndSize(<const char*>name, size) in OWN_HEADERS


cdef int put_from_headers(Builder out, const uint8_t* at, const uint8_t* end, bint has_correlation) except -1:
    """Each header in its order. The own headers come once in each message that this file has made."""
    cdef const uint8_t* name
    cdef bytes text
    cdef size_t name_size
    cdef Py_ssize_t size
    cdef set seen = None
    cdef uint8_t kind
    while at < end:
        name, name_size = at + 1, at[0]
        kind = name[name_size]
        at = name + name_size + 1
        size = value_size(kind, at, end)
        if is_own(name, name_size):
            text = PyBytes_FromStringAndSize(<const char*>name, name_size)
            seen = set() if seen is None else seen
            if text not in seen or text == PAIR_HEADER:         # a property twice would be a protocol error
                seen.add(text)
                put_own_header(out, text, kind, at, size, has_correlation)
        elif kind == c'S':
            put_pair(out, name, name_size, at + 4, size - 4)
        else:
            text = value_text(kind, at, size)
            put_pair(out, name, name_size, <const uint8_t*>PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
        at += size
    return 0


cdef int put_reply_to(Builder out, const properties_t* found, const uint8_t* raw) except -1:
    """reply-to as a response topic, where the broker made the name; else as a user property."""
    cdef bytes name = PyBytes_FromStringAndSize(
        <const char*>raw + found.fields[<int>PROPERTY_REPLY_TO].offset, found.fields[<int>PROPERTY_REPLY_TO].size)
    if not name.startswith(MADE_NAMES) or (
            properties_has(found, PROPERTY_HEADERS) and has_response_topic(found, raw)):
        return put_text_pair(out, b"reply-to", name)
    return put_topic(out, REPLY_TOPIC + name.translate(SWAP))


cdef bint has_response_topic(const properties_t* found, const uint8_t* raw) except -1:
    """Whether the headers give a response topic."""
    cdef const uint8_t* at = raw + found.fields[<int>PROPERTY_HEADERS].offset
    cdef const uint8_t* end = at + found.fields[<int>PROPERTY_HEADERS].size
    while at < end:
        if at[0] == PyBytes_GET_SIZE(REPLY_HEADER) and memcmp(at + 1, PyBytes_AS_STRING(REPLY_HEADER), at[0]) == 0:
            return True
        at += at[0] + 1
        at += 1 + value_size(at[0], at + 1, end)
    return False


cdef bytes amqp_to_publish_properties(const char* raw, size_t size):
    cdef const uint8_t* start = <const uint8_t*>raw
    cdef properties_t found
    cdef Builder out
    cdef int index
    cdef bytes name
    if properties_scan(raw, size, &found) != 0:
        return b""
    if found.flags & ~0x1100 == 0:                              # nothing but delivery mode and expiration
        return b""
    out = Builder()
    if properties_has(&found, PROPERTY_CONTENT_TYPE):
        put_property(out, CONTENT_TYPE, start + found.fields[<int>PROPERTY_CONTENT_TYPE].offset,
                     found.fields[<int>PROPERTY_CONTENT_TYPE].size, True)
    if properties_has(&found, PROPERTY_CORRELATION_ID):
        put_property(out, CORRELATION_DATA, start + found.fields[<int>PROPERTY_CORRELATION_ID].offset,
                     found.fields[<int>PROPERTY_CORRELATION_ID].size, False)
    if properties_has(&found, PROPERTY_REPLY_TO):
        put_reply_to(out, &found, start)
    if properties_has(&found, PROPERTY_HEADERS):
        index = found.fields[<int>PROPERTY_HEADERS].offset
        put_from_headers(out, start + index, start + index + found.fields[<int>PROPERTY_HEADERS].size,
                         properties_has(&found, PROPERTY_CORRELATION_ID))
    for index, name in OTHERS:
        if properties_has(&found, index):
            put_pair(out, <const uint8_t*>PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name),
                     start + found.fields[index].offset, found.fields[index].size)
    if properties_has(&found, PROPERTY_TIMESTAMP):
        put_text_pair(out, b"timestamp", b"%d" % found.timestamp)
    if properties_has(&found, PROPERTY_PRIORITY):
        put_text_pair(out, b"priority", b"%d" % found.priority)
    return out.build() if out.size else b""


# ── the same for cold code ────────────────────────────────────────────────────────────────────────────────────────────

def publish_to_amqp(bytes content not None, int qos, bytes topic not None=b""):
    """`content`: properties without their length, as a client sent them. Raises MqttError."""
    cdef publish_properties_t found
    check_publish(content)
    publish_properties_scan(<const uint8_t*>PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content), &found)
    return publish_properties_to_amqp(&found, qos, PyBytes_AS_STRING(topic), PyBytes_GET_SIZE(topic))


def to_amqp(properties not None, int qos, bytes topic not None=b""):
    """A message's own properties, of a will for example, as an AMQP property list."""
    message = Properties(
        payload_format_indicator=properties.payload_format_indicator,
        message_expiry_interval=properties.message_expiry_interval, content_type=properties.content_type,
        response_topic=properties.response_topic, correlation_data=properties.correlation_data,
        user_properties=properties.user_properties)
    encoded = encode_properties(message)
    at = 1
    while encoded[at - 1] & 0x80:
        at += 1
    return publish_to_amqp(encoded[at:], qos, topic)


def from_amqp_bytes(bytes raw not None):
    """An AMQP property list as a PUBLISH's properties, without their length and without message expiry."""
    return amqp_to_publish_properties(PyBytes_AS_STRING(raw), PyBytes_GET_SIZE(raw))


def from_amqp(bytes raw not None):
    """An AMQP property list as Properties."""
    content = from_amqp_bytes(raw)
    found = Properties()
    if content:
        size = bytearray()
        length = len(content)
        while length >= 0x80:
            size.append(length & 0x7F | 0x80)
            length >>= 7
        size.append(length)
        found, _ = decode_properties(bytes(size) + content, 0, Packet.PUBLISH)
    expires_ms = expiration_ms(raw)
    if expires_ms >= 0:
        found.message_expiry_interval = -(-expires_ms // 1000)
    return found


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────────

REASONS = {
    errors.AccessRefused: Reason.NOT_AUTHORIZED,
    errors.InvalidPath: Reason.NOT_AUTHORIZED,
    errors.NotFound: Reason.TOPIC_NAME_INVALID,
    errors.BindingInvalid: Reason.TOPIC_FILTER_INVALID,
    errors.ResourceLocked: Reason.NOT_AUTHORIZED,
    errors.NotAccepted: Reason.UNSPECIFIED_ERROR,
    errors.LimitExceeded: Reason.QUOTA_EXCEEDED,
    errors.TableError: Reason.MALFORMED_PACKET,
}


def reason_for(error not None):
    """What a refusal of the core is called in MQTT."""
    for kind in type(error).__mro__:
        if kind in REASONS:
            return REASONS[kind]
    return Reason.IMPLEMENTATION_SPECIFIC_ERROR


def error_for(error not None):
    """… as an MqttError with its text."""
    return MqttError(reason_for(error), error.text)
