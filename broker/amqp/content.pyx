"""Content on its way out: see content.pxd."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stddef cimport size_t
from libc.stdint cimport uint32_t, uint64_t, uint8_t

from broker.amqp.codec cimport (
    BASIC_DELIVER, BASIC_GET_OK, BASIC_RETURN, FRAME_BODY, FRAME_END, FRAME_HEADER, FRAME_METHOD, FRAME_OVERHEAD,
    HEADER_FIXED, put_bytes, put_frame_start, put_shortstr, store16, store32, store64,
)
from broker.core.message cimport (
    message_body, message_exchange, message_properties, message_routing_key, message_t,
)
from broker.wire.output cimport Output, output_room, output_written

cdef enum:
    REPLY_NO_ROUTE = 312
    CLASS_BASIC = 60
    SHORTSTR_MAX = 255              # AMQP 0-9-1 §4.2.5.3


cdef void write_deliver(Output output, int channel, uint32_t payload_max, bytes consumer_tag, uint64_t delivery_tag,
                        int redelivered, message_t* message, bytes properties) noexcept:
    cdef size_t tag_size = PyBytes_GET_SIZE(consumer_tag)
    cdef size_t method = 4 + 1 + tag_size + 8 + 1 + names_size(message)
    cdef size_t total = FRAME_OVERHEAD + method + content_size(message, properties, payload_max)
    cdef char* at = output_room(output, total)
    if at == NULL:
        return
    at = put_frame_start(at, FRAME_METHOD, channel, method)
    store32(at, BASIC_DELIVER)
    at = put_shortstr(at + 4, PyBytes_AS_STRING(consumer_tag), tag_size)
    store64(at, delivery_tag)
    at[8] = <char>redelivered
    at = put_names(at + 9, message)
    at[0] = <char>FRAME_END
    put_content(at + 1, channel, message, properties, payload_max)
    output_written(output, total)


cdef void write_get_ok(Output output, int channel, uint32_t payload_max, uint64_t delivery_tag, int redelivered,
                       uint64_t message_count, message_t* message, bytes properties) noexcept:
    cdef size_t method = 4 + 8 + 1 + names_size(message) + 4
    cdef size_t total = FRAME_OVERHEAD + method + content_size(message, properties, payload_max)
    cdef char* at = output.reserve(total)
    if at == NULL:
        return
    at = put_frame_start(at, FRAME_METHOD, channel, method)
    store32(at, BASIC_GET_OK)
    store64(at + 4, delivery_tag)
    at[12] = <char>redelivered
    at = put_names(at + 13, message)
    store32(at, <uint32_t>message_count)
    at[4] = <char>FRAME_END
    put_content(at + 5, channel, message, properties, payload_max)
    output.written(total)


cdef void write_return(Output output, int channel, uint32_t payload_max, message_t* message) noexcept:
    cdef size_t method = 4 + 2 + 1 + 8 + names_size(message)
    cdef size_t total = FRAME_OVERHEAD + method + content_size(message, None, payload_max)
    cdef char* at = output.reserve(total)
    if at == NULL:
        return
    at = put_frame_start(at, FRAME_METHOD, channel, method)
    store32(at, BASIC_RETURN)
    store16(at + 4, REPLY_NO_ROUTE)
    at = put_shortstr(at + 6, b"NO_ROUTE", 8)
    at = put_names(at, message)
    at[0] = <char>FRAME_END
    put_content(at + 1, channel, message, None, payload_max)
    output.written(total)


cdef void write_tag(Output output, int channel, uint32_t method, uint64_t delivery_tag, bint multiple) noexcept:
    cdef char* at = output.reserve(FRAME_OVERHEAD + 13)
    if at == NULL:
        return
    at = put_frame_start(at, FRAME_METHOD, channel, 13)
    store32(at, method)
    store64(at + 4, delivery_tag)
    at[12] = <char>(1 if multiple else 0)
    at[13] = <char>FRAME_END
    output.written(FRAME_OVERHEAD + 13)


cdef inline size_t key_size(message_t* message) noexcept:
    """Bytes of the routing key that a short string can hold: a topic of MQTT may be longer, and is then cut."""
    cdef const char* key
    cdef size_t size = message.routing_key_size
    if size > SHORTSTR_MAX:
        size = SHORTSTR_MAX
        key = message_routing_key(message)
        while size and <uint8_t>key[size] & 0xC0 == 0x80:      # not within a character of UTF-8
            size -= 1
    return size


cdef inline size_t names_size(message_t* message) noexcept:
    return 1 + message.exchange_size + 1 + key_size(message)


cdef inline char* put_names(char* at, message_t* message) noexcept:
    """Exchange and routing key, as the message was published."""
    at = put_shortstr(at, message_exchange(message), message.exchange_size)
    return put_shortstr(at, message_routing_key(message), key_size(message))


cdef inline size_t content_size(message_t* message, bytes properties, uint32_t payload_max) noexcept:
    """Bytes that header and body frames take."""
    cdef size_t properties_size = message.properties_size if properties is None else PyBytes_GET_SIZE(properties)
    cdef size_t frames = 1
    if message.body_size > payload_max:
        frames = (message.body_size + payload_max - 1) // payload_max
    elif message.body_size == 0:
        frames = 0
    return FRAME_OVERHEAD + HEADER_FIXED + properties_size + frames * FRAME_OVERHEAD + message.body_size


cdef inline void put_content(char* at, int channel, message_t* message, bytes properties,
                             uint32_t payload_max) noexcept:
    """Header and body frames; `content_size` is their room."""
    cdef const char* raw = message_properties(message)
    cdef size_t raw_size = message.properties_size
    cdef const char* body = message_body(message)
    cdef uint64_t left = message.body_size
    cdef size_t size
    if properties is not None:
        raw = PyBytes_AS_STRING(properties)
        raw_size = PyBytes_GET_SIZE(properties)
    at = put_frame_start(at, FRAME_HEADER, channel, HEADER_FIXED + raw_size)
    store32(at, CLASS_BASIC << 16)                  # weight 0
    store64(at + 4, left)
    at = put_bytes(at + HEADER_FIXED, raw, raw_size)
    at[0] = <char>FRAME_END
    at += 1
    while left:
        size = left if left < payload_max else payload_max
        at = put_frame_start(at, FRAME_BODY, channel, size)
        at = put_bytes(at, body, size)
        at[0] = <char>FRAME_END
        at += 1
        body += size
        left -= size
